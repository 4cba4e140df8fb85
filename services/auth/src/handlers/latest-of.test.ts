import { expect, it } from "vitest";
import { latestOf } from "./latest-of.ts";

async function* valuesOf(...values: readonly number[]) {
  yield* values;
}

async function collected<T>(values: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

it("passes on the first value at once, and of those that follow within the interval the latest one", async () => {
  expect(await collected(latestOf(valuesOf(1, 2, 3, 4), 60_000))).toEqual([1, 4]);
});

it("passes on every value without an interval", async () => {
  expect(await collected(latestOf(valuesOf(1, 2, 3), 0))).toEqual([1, 2, 3]);
});

it("passes on the latest value when the interval is over, although the stream goes on", async () => {
  const last = Promise.withResolvers<number>();
  async function* values() {
    yield* [1, 2, 3];
    yield await last.promise;
  }
  const passed = latestOf(values(), 20);
  expect(await passed.next()).toMatchObject({ value: 1 });
  expect(await passed.next()).toMatchObject({ value: 3 });
  last.resolve(4);
  expect(await passed.next()).toMatchObject({ value: 4 });
  expect(await passed.next()).toMatchObject({ done: true });
});

it("ends with the error of the stream", async () => {
  async function* values() {
    yield* [1, 2];
    throw new Error("lost");
  }
  const passed = latestOf(values(), 5);
  expect(await passed.next()).toMatchObject({ value: 1 });
  await expect(collected(passed)).rejects.toThrow("lost");
});
