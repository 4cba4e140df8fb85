import { expect } from "vitest";
import { USAGE } from "../upstream/turn.ts";

/** Columns of the table, in its order. */
export const FEATURES = [
  "text",
  "stream",
  "system",
  "history",
  "length",
  "image",
  "schema",
  "tool",
  "tool stream",
  "parallel",
  "parallel stream",
  "forced",
  "thinking",
  "thinking stream",
  "rate limit",
  "broken stream",
] as const;
export type Feature = (typeof FEATURES)[number];

/** Address, key and model of the requests of a client. */
export interface Target {
  /** Address without path. */
  readonly url: string;
  readonly apiKey: string;
  readonly model: string;
}

export type Check = (target: Target) => Promise<void>;

/** Row of the table: a client that people use, by one wire. */
export interface Client {
  readonly name: string;
  /** Checks by feature, without features that the client cannot request. */
  readonly checks: Readonly<Partial<Record<Feature, Check>>>;
}

/** Output bound of requests that do not test it. */
export const MAX_TOKENS = 4_096;

/** Checks the counts of an answer under the client's names: whole prompt, cached part, and output. */
export function expectUsage(
  prompt: number | undefined | null,
  cached: number | undefined | null,
  output: number | undefined | null,
): void {
  expect({ prompt, cached, output }).toEqual({ prompt: USAGE.prompt, cached: USAGE.cached, output: USAGE.output });
}

/** Error of a call that must fail. @throws Error if it succeeds */
export async function failureOf(call: PromiseLike<unknown>): Promise<Error> {
  const outcome: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (outcome instanceof Error) return outcome;
  throw new Error(`the call did not fail: ${String(outcome)}`);
}

/** Pieces of a stream. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}
