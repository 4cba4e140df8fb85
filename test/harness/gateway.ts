import { eventually } from "@routeplane/testing";
import OpenAI, { APIError } from "openai";
import type { TestNode } from "./node.ts";

/** What tests of the gateway ask of a node: through the stock client, and of the request log through the CLI. */

/** A row of the request log. */
export interface RequestRow {
  readonly id: string;
  readonly key_id: string;
  readonly status: string;
  readonly model: string;
  readonly provider: string;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost_micro_usd: number;
  readonly reserved_micro_usd: number;
  readonly estimated: boolean;
  readonly streamed: boolean;
}

/** The stock client, which tries once. */
export function openAiClient(node: Pick<TestNode, "url">, apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${node.url}/v1`, maxRetries: 0 });
}

/** The body of a chat completion. */
export function ask<M extends object = object>(content: string, model = "echo", more?: M) {
  return { model, messages: [{ role: "user" as const, content }], ...(more ?? ({} as M)) };
}

/** @throws Error with what the command said, if it fails */
export async function cliJson<T>(node: TestNode, ...args: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await node.cli([...args, "--json"]);
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

export function mintKey(node: TestNode, name: string, scopes = "inference:invoke") {
  return cliJson<{ id: string; token: string }>(node, "cloud", "keys", "mint", "--name", name, "--scope", scopes);
}

export async function requestLog(node: TestNode): Promise<readonly RequestRow[]> {
  return (await cliJson<{ readonly data: readonly RequestRow[] }>(node, "cloud", "requests", "--limit", "25")).data;
}

/** The row of a request, once it is settled. */
export function settledRow(node: TestNode, requestId: string | null | undefined): Promise<RequestRow> {
  return eventually(async () =>
    (await requestLog(node)).find(({ id, status }) => id === requestId && status !== "pending"),
  );
}

/** The API's error. @throws Error if there is none */
export async function failureOf(call: Promise<unknown>): Promise<APIError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof APIError)) throw new Error(`no API error but ${String(error)}`);
  return error;
}

/** What a call is refused with, once it is: a change is in force at a gateway a moment after it is made, at most 5 s. */
export function refusalOf(call: () => Promise<unknown>): Promise<APIError> {
  return eventually(() => failureOf(call()), 5_000);
}
