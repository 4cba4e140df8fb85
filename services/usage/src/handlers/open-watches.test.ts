import { expect, test } from "vitest";
import { OpenWatches } from "./open-watches.ts";

const refusal = { code: "resource_exhausted", reason: "LIMIT_REACHED", metadata: { limit: "5" } };

test("a credential can open five streams, another one its own five, and each closed one frees one", () => {
  const watches = new OpenWatches();
  const { signal } = new AbortController();
  const closes = Array.from({ length: 5 }, () => watches.open("key_a", signal));
  expect(() => watches.open("key_a", signal)).toThrow(expect.objectContaining(refusal));
  watches.open("key_b", signal);
  // Closed twice, it frees one.
  closes[0]?.();
  closes[0]?.();
  watches.open("key_a", signal);
  expect(() => watches.open("key_a", signal)).toThrow(expect.objectContaining(refusal));
});

test("a stream of a cancelled call does not count, while its handler still waits", () => {
  const watches = new OpenWatches();
  const calls = Array.from({ length: 5 }, () => new AbortController());
  for (const { signal } of calls) watches.open("key_a", signal);
  for (const call of calls) call.abort();
  watches.open("key_a", AbortSignal.abort());
  const { signal } = new AbortController();
  for (let count = 0; count < 5; count++) watches.open("key_a", signal);
  expect(() => watches.open("key_a", signal)).toThrow(expect.objectContaining(refusal));
});
