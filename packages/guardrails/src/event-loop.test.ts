import { describe, expect, it } from "vitest";
import { yieldToEventLoop } from "./event-loop.ts";

describe("turns of the event loop", () => {
  it("are given to waiting callers one by one, first come, first served", async () => {
    let loop = 0;
    let over = false;
    const count = (): void => {
      loop++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    const taken: { readonly who: number; readonly loop: number }[] = [];
    const work = async (who: number): Promise<void> => {
      for (let turn = 0; turn < 3; turn++) {
        await yieldToEventLoop();
        taken.push({ who, loop });
      }
    };
    await Promise.all([work(1), work(2), work(3)]);
    over = true;
    expect(taken.map(({ who }) => who)).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
    expect(new Set(taken.map(({ loop: each }) => each)).size).toBe(taken.length);
  });
});
