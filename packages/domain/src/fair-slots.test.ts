import { describe, expect, it } from "vitest";
import { FairSlots, type FairSlotsOptions } from "./fair-slots.ts";

function newSlots(options: Partial<FairSlotsOptions>) {
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
  it("of one owner is never used by the work of another", async () => {
    const { running, start, end } = newSlots({ waitingPerOwner: 100 });
    const many = Array.from({ length: 50 }, (_, n) => start("a", `a${n}`));
    const single = start("b");
    expect(running).toEqual(["a0", "b"]);
    const third = start("c");
    await end("b");
    await single;
    expect(running).toEqual(["a0", "b", "c"]);
    await end("a0");
    expect(running.at(-1)).toBe("a1");
    for (let n = 1; n < 50; n++) await end(`a${n}`);
    await Promise.all(many);
    await end("c");
    await third;
  });

  it("goes to the owner below its share whose work has waited longest", async () => {
    const { running, start, end } = newSlots({});
    const all = ["a", "b", "c", "d"].map((owner) => start(owner));
    expect(running).toEqual(["a", "b"]);
    for (const owner of ["a", "b", "c", "d"]) await end(owner);
    await Promise.all(all);
    expect(running).toEqual(["a", "b", "c", "d"]);
  });

  it("is refused to an owner with a full queue, and after the longest wait", async () => {
    const { start, end } = newSlots({});
    const [first, second] = [start("a", "a0"), start("a", "a1")];
    await expect(start("a", "a2")).rejects.toThrow("no slot");
    await end("a0");
    await end("a1");
    await Promise.all([first, second]);
    const impatient = newSlots({ waitMs: 1 });
    const running = impatient.start("a", "held");
    await expect(impatient.start("a", "late")).rejects.toThrow("no slot");
    await impatient.end("held");
    await running;
    const again = impatient.start("a", "again");
    expect(impatient.running).toEqual(["held", "again"]);
    await impatient.end("again");
    await again;
  });

  it("is free again after work that fails", async () => {
    const { slots, running, start, end } = newSlots({});
    await expect(slots.run("a", () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    const next = start("a");
    expect(running).toEqual(["a"]);
    await end("a");
    await next;
  });
});
