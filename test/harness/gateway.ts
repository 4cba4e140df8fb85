import { eventually } from "@routeplane/testing";
import OpenAI, { APIError } from "openai";
import type { TestNode } from "./node.ts";

/** Row of the request log, as the CLI prints it. */
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

/** Stock client, without retries. */
export function openAiClient(node: Pick<TestNode, "url">, apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${node.url}/v1`, maxRetries: 0 });
}

/** Body of a chat completion. */
export function chatBody<M extends object = object>(content: string, model = "echo", more?: M) {
  return { model, messages: [{ role: "user" as const, content }], ...(more ?? ({} as M)) };
}

/** Status of a chat completion. */
export async function chatStatus(
  { url }: Pick<TestNode, "url">,
  token: string,
  content: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { ...headers, authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(chatBody(content)),
  });
  await response.body?.cancel();
  return response.status;
}

/** Runs a command with --json. @throws Error with its stderr if it fails */
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

/** Row of a request, once it is settled. */
export function settledRow(node: TestNode, requestId: string | null | undefined): Promise<RequestRow> {
  return eventually(async () =>
    (await requestLog(node)).find(({ id, status }) => id === requestId && status !== "pending"),
  );
}

/** Error of a failed call. @throws Error if the call succeeds */
export async function failureOf(call: Promise<unknown>): Promise<APIError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof APIError)) throw new Error(`expected an API error, got ${String(error)}`);
  return error;
}

/** Refusal of a call, which is repeated until it is refused: a change takes effect at a gateway within 5 s. */
export function refusalOf(call: () => Promise<unknown>): Promise<APIError> {
  return eventually(() => failureOf(call()), 5_000);
}
