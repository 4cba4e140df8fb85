import { describe, expect, it } from "vitest";
import { FairQueue, Flow } from "./fair-queue.ts";

/** Queue of letters, each with a number: of flow `a` the items a1, a2 and so on. */
function queueOf() {
  const queue = new FairQueue<string>();
  const flows = new Map<string, Flow<string>>();
  const flowOf = (name: string): Flow<string> => {
    const flow = flows.get(name) ?? new Flow<string>();
    flows.set(name, flow);
    return flow;
  };
  return {
    queue,
    push: (...items: readonly string[]): void => {
      for (const item of items) queue.push(flowOf(item.slice(0, 1)), item);
    },
    charge: (name: string, work: number): void => queue.charge(flowOf(name), work),
    /** Takes so many items. */
    take: (count = Infinity): readonly string[] => {
      const taken: string[] = [];
      while (taken.length < count && queue.size > 0) taken.push(queue.shift() ?? "nothing");
      return taken;
    },
  };
}

describe("a fair queue", () => {
  it("takes the items of one flow in their order", () => {
    const { push, take, queue } = queueOf();
    const items = Array.from({ length: 500 }, (_, index) => `a${index}`);
    push(...items);
    expect(queue.size).toBe(500);
    expect(take()).toEqual(items);
    expect(queue.shift()).toBeUndefined();
  });

  it("gives each flow one item in each round, however many the others have", () => {
    const { push, take } = queueOf();
    push("a1", "a2", "a3", "a4", "b1", "c1", "c2");
    expect(take()).toEqual(["a1", "b1", "c1", "a2", "c2", "a3", "a4"]);
  });

  it("takes a flow that had nothing waiting first", () => {
    const { push, take } = queueOf();
    push("a1", "a2", "a3", "b1", "b2", "b3");
    expect(take(3)).toEqual(["a1", "b1", "a2"]);
    push("c1");
    expect(take()).toEqual(["c1", "b2", "a3", "b3"]);
  });

  it("does not let a flow come first again with each item that it gets", () => {
    const { push, take } = queueOf();
    push("a1", "a2", "a3", "a4", "b1");
    const taken: string[] = [];
    for (let turn = 2; taken.length < 8; turn++) {
      const next = take(1);
      taken.push(...next);
      if (next[0]?.startsWith("b") === true) push(`b${turn}`);
    }
    expect(taken.filter((item) => item.startsWith("a"))).toEqual(["a1", "a2", "a3", "a4"]);
  });

  it("takes fewer items of a flow whose items are more work", () => {
    const { push, take, charge } = queueOf();
    push("a1", "a2", "a3", ...Array.from({ length: 12 }, (_, index) => `b${index}`));
    const turnsOfA: number[] = [];
    for (let turn = 0; turn < 15; turn++) {
      if (take(1)[0]?.startsWith("a") !== true) continue;
      turnsOfA.push(turn);
      charge("a", 4);
    }
    expect(turnsOfA).toEqual([0, 6, 12]);
  });

  it("lets a flow that owes wait, even if it had nothing waiting for a while", () => {
    const { push, take, charge } = queueOf();
    push("a1", ...Array.from({ length: 100 }, () => "b"));
    expect(take(1)).toEqual(["a1"]);
    charge("a", 10);
    take(5);
    push("a2");
    expect(take(20).indexOf("a2")).toBe(6);
  });

  it("forgives what is beyond 64 rounds, and serves a flow that owes while no other waits", () => {
    const { push, take, charge } = queueOf();
    push("a1", "a2", "a3", ...Array.from({ length: 100 }, () => "b"));
    expect(take(1)).toEqual(["a1"]);
    charge("a", 1e9);
    expect(take(66).indexOf("a2")).toBe(65);
    charge("a", 60);
    expect(take(35)).not.toContain("a3");
    expect(take()).toEqual(["a3"]);
  });
});
