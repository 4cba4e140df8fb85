import { expect, test } from "vitest";
import { unlessUnchanged } from "./remove-revoked-bindings.ts";

function setUp() {
  const state = { sequence: 1n, isLive: true, now: 0, left: 0, calls: 0 };
  const remove = async (): Promise<number> => {
    state.calls++;
    return state.left;
  };
  const feed = { lastSequence: () => state.sequence, isLive: () => state.isLive };
  return { state, run: unlessUnchanged(remove, feed, () => state.now) };
}

test("asks for revocations again only once the auth service announces a change", async () => {
  const { state, run } = setUp();
  await run();
  await run();
  expect(state.calls).toBe(1);
  state.sequence = 2n;
  await run();
  await run();
  expect(state.calls).toBe(2);
});

test("asks each time while the feed is not live, a revocation is left, or after a failure", async () => {
  const { state, run } = setUp();
  state.isLive = false;
  await run();
  await run();
  expect(state.calls).toBe(2);
  // What was announced while it was not live may have been missed.
  state.isLive = true;
  await run();
  expect(state.calls).toBe(3);
  state.sequence = 2n;
  state.left = 1;
  await run();
  state.left = 0;
  await run();
  await run();
  expect(state.calls).toBe(5);
  const failing = unlessUnchanged(
    () => (state.calls++, Promise.reject(new Error("down"))),
    { lastSequence: () => 2n, isLive: () => true },
    () => 0,
  );
  await expect(failing()).rejects.toThrow("down");
  await expect(failing()).rejects.toThrow("down");
});

test("asks again as soon as the feed is not live any more, although it has announced nothing", async () => {
  const { state, run } = setUp();
  await run();
  state.isLive = false;
  await run();
  expect(state.calls).toBe(2);
});

test("asks once in 30 s although nothing was announced", async () => {
  const { state, run } = setUp();
  await run();
  state.now = 29_999;
  await run();
  expect(state.calls).toBe(1);
  state.now = 30_000;
  await run();
  expect(state.calls).toBe(2);
});

test("asks again for a change that is announced while it asks", async () => {
  const state = { sequence: 1n, calls: 0 };
  const remove = async (): Promise<number> => {
    state.calls++;
    state.sequence = 2n;
    return 0;
  };
  const run = unlessUnchanged(remove, { lastSequence: () => state.sequence, isLive: () => true }, () => 0);
  await run();
  await run();
  expect(state.calls).toBe(2);
});
