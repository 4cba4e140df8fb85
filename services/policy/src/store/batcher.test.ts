import { DomainError } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { createBatcher, MAX_BATCH, type Outcome } from "./batcher.ts";

interface Call {
  readonly batchKey: string;
  readonly id: string;
}

/** Batcher whose batches are recorded; each ends when the test ends it. */
function batches(outcomesOf: (calls: readonly Call[]) => readonly Outcome<string>[] = answersOf) {
  const made: { readonly ids: readonly string[]; readonly end: () => void }[] = [];
  const call = createBatcher<Call, string>({
    batchKeyOf: ({ batchKey }) => batchKey,
    idOf: ({ id }) => id,
    async run(calls) {
      const { promise, resolve } = Promise.withResolvers<void>();
      made.push({ ids: calls.map(({ id }) => id), end: resolve });
      await promise;
      return outcomesOf(calls);
    },
  });
  return { made, call: (id: string, batchKey = "a") => call({ id, batchKey }) };
}

const answersOf = (calls: readonly Call[]) => calls.map(({ id }) => ({ result: `answer of ${id}` }));

describe("calls of one batch key", () => {
  it("run at once if no batch runs, else together when it ends", async () => {
    const { made, call } = batches();
    const first = call("1");
    const later = [call("2"), call("3"), call("4")];
    expect(made.map(({ ids }) => ids)).toEqual([["1"]]);
    made[0]?.end();
    expect(await first).toBe("answer of 1");
    await expect.poll(() => made.map(({ ids }) => ids)).toEqual([["1"], ["2", "3", "4"]]);
    made[1]?.end();
    expect(await Promise.all(later)).toEqual(["answer of 2", "answer of 3", "answer of 4"]);
    void call("5");
    expect(made[2]?.ids).toEqual(["5"]);
  });

  it("with one id are in different batches, and a batch has a bounded size", async () => {
    const { made, call } = batches();
    void call("first");
    void call("same");
    void call("same");
    for (let n = 0; n < MAX_BATCH; n++) void call(`${n}`);
    for (let n = 0; n < 4; n++) {
      await expect.poll(() => made.length).toBeGreaterThan(n);
      made[n]?.end();
      if (n === 2) break;
    }
    expect(made.map(({ ids }) => ids.length)).toEqual([1, MAX_BATCH, 2]);
    expect(made[1]?.ids.filter((id) => id === "same")).toHaveLength(1);
    expect(made[2]?.ids).toEqual(["same", `${MAX_BATCH - 1}`]);
  });

  it("fail independently", async () => {
    const { made, call } = batches((calls) =>
      calls.map(({ id }) => (id === "2" ? { error: new Error("this one") } : { result: id })),
    );
    const all = [call("1"), call("2"), call("3")];
    made[0]?.end();
    await expect.poll(() => made.length).toBe(2);
    made[1]?.end();
    expect(await Promise.allSettled(all)).toEqual([
      { status: "fulfilled", value: "1" },
      { status: "rejected", reason: new Error("this one") },
      { status: "fulfilled", value: "3" },
    ]);
  });
});

it("calls of another batch key do not wait", () => {
  const { made, call } = batches();
  void call("1", "a");
  void call("2", "b");
  expect(made.map(({ ids }) => ids)).toEqual([["1"], ["2"]]);
});

describe("a batch that fails", () => {
  const failing = (error: Error) =>
    batches((calls) => {
      if (calls.some(({ id }) => id === "bad")) throw error;
      return answersOf(calls);
    });

  it("runs again call by call: one call cannot fail the others", async () => {
    const { made, call } = failing(new Error("bad"));
    const all = [call("1"), call("bad"), call("3")];
    made[0]?.end();
    await expect.poll(() => made.length).toBe(2);
    made[1]?.end();
    await expect.poll(() => made.length).toBe(4);
    for (const { end } of made) end();
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  it("with UNAVAILABLE fails as a whole, without further calls", async () => {
    const { made, call } = failing(new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "away"));
    const all = [call("1"), call("bad"), call("3")];
    made[0]?.end();
    await expect.poll(() => made.length).toBe(2);
    made[1]?.end();
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
    expect(made).toHaveLength(2);
  });
});
