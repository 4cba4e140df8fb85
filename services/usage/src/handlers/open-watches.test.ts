import { expect, test } from "vitest";
import { OpenWatches } from "./open-watches.ts";

const refusal = { code: "resource_exhausted", reason: "LIMIT_REACHED", metadata: { limit: "5" } };

test("a credential can open five streams, another one its own five, and a closed stream can be replaced", () => {
  const watches = new OpenWatches();
  const { signal } = new AbortController();
  const closes = Array.from({ length: 5 }, () => watches.open({ keyId: "key_a" }, signal));
  expect(() => watches.open({ keyId: "key_a" }, signal)).toThrow(expect.objectContaining(refusal));
  watches.open({ keyId: "key_b" }, signal);
  // A second close has no effect.
  closes[0]?.();
  closes[0]?.();
  watches.open({ keyId: "key_a" }, signal);
  expect(() => watches.open({ keyId: "key_a" }, signal)).toThrow(expect.objectContaining(refusal));
});

test("each session of a key can open five streams in addition to the key's own, and together they can open fifty", () => {
  const watches = new OpenWatches();
  const { signal } = new AbortController();
  const openFive = (sessionId?: string) =>
    Array.from({ length: 5 }, () => watches.open({ keyId: "key_a", sessionId }, signal));
  openFive();
  const [first] = openFive("ses_1");
  expect(() => watches.open({ keyId: "key_a", sessionId: "ses_1" }, signal)).toThrow(expect.objectContaining(refusal));
  for (let count = 2; count < 10; count++) openFive(`ses_${count}`);
  const refusalOfKey = { ...refusal, metadata: { limit: "50" } };
  expect(() => watches.open({ keyId: "key_a", sessionId: "ses_10" }, signal)).toThrow(
    expect.objectContaining(refusalOfKey),
  );
  watches.open({ keyId: "key_b", sessionId: "ses_11" }, signal);
  first?.();
  watches.open({ keyId: "key_a", sessionId: "ses_10" }, signal);
});

test("a stream of a cancelled call does not count, while its handler still waits", () => {
  const watches = new OpenWatches();
  const calls = Array.from({ length: 5 }, () => new AbortController());
  for (const { signal } of calls) watches.open({ keyId: "key_a" }, signal);
  for (const call of calls) call.abort();
  watches.open({ keyId: "key_a" }, AbortSignal.abort());
  const { signal } = new AbortController();
  for (let count = 0; count < 5; count++) watches.open({ keyId: "key_a" }, signal);
  expect(() => watches.open({ keyId: "key_a" }, signal)).toThrow(expect.objectContaining(refusal));
});
