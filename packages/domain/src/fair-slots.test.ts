import { describe, expect, it } from "vitest";
import { FairSlots, type FairSlotsOptions } from "./fair-slots.ts";

function world(options: Partial<FairSlotsOptions>) {
  const refusal = () => new Error("no slot");
  const slots = new FairSlots({ total: 2, perOwner: 1, waitingPerOwner: 1, waitMs: 60_000, refusal, ...options });
  const running: string[] = [];
  const finish = new Map<string, () => void>();
  const start = (owner: string, name = owner): Promise<void> =>
    slots.run(owner, () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      running.push(name);
      finish.set(name, resolve);
      return promise;
    });
  const end = async (name: string): Promise<void> => {
    finish.get(name)?.();
    await new Promise(setImmediate);
  };
  return { slots, running, start, end };
}

describe("a slot", () => {
  it("of one owner is never taken up by another's work", async () => {
    const { running, start, end } = world({ waitingPerOwner: 100 });
    const many = Array.from({ length: 50 }, (_, n) => start("a", `a${n}`));
    const one = start("b");
    expect(running).toEqual(["a0", "b"]);
    const third = start("c");
    await end("b");
    await one;
    expect(running).toEqual(["a0", "b", "c"]);
    await end("a0");
    expect(running.at(-1)).toBe("a1");
    for (let n = 1; n < 50; n++) await end(`a${n}`);
    await Promise.all(many);
    await end("c");
    await third;
  });

  it("goes to who waits longest among owners that have room", async () => {
    const { running, start, end } = world({});
    const all = ["a", "b", "c", "d"].map((owner) => start(owner));
    expect(running).toEqual(["a", "b"]);
    for (const owner of ["a", "b", "c", "d"]) await end(owner);
    await Promise.all(all);
    expect(running).toEqual(["a", "b", "c", "d"]);
  });

  it("is refused to an owner that has as much waiting as may wait, and after the wait", async () => {
    const { start, end } = world({});
    const [first, second] = [start("a", "a0"), start("a", "a1")];
    await expect(start("a", "a2")).rejects.toThrow("no slot");
    await end("a0");
    await end("a1");
    await Promise.all([first, second]);
    const hasty = world({ waitMs: 1 });
    const held = hasty.start("a", "held");
    await expect(hasty.start("a", "late")).rejects.toThrow("no slot");
    await hasty.end("held");
    await held;
    const again = hasty.start("a", "again");
    expect(hasty.running).toEqual(["held", "again"]);
    await hasty.end("again");
    await again;
  });

  it("is free again after work that fails", async () => {
    const { slots, running, start, end } = world({});
    await expect(slots.run("a", () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    const next = start("a");
    expect(running).toEqual(["a"]);
    await end("a");
    await next;
  });
});
