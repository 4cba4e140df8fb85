import { describe, expect, it } from "vitest";
import { yieldToEventLoop } from "./event-loop.ts";

describe("turns of the event loop", () => {
  it("are given to waiting callers one by one, first come, first served", async () => {
    let loop = 0;
    let isOver = false;
    const count = (): void => {
      loop++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const resumed: { readonly caller: number; readonly loop: number }[] = [];
    const work = async (caller: number): Promise<void> => {
      for (let turn = 0; turn < 3; turn++) {
        await yieldToEventLoop();
        resumed.push({ caller, loop });
      }
    };
    await Promise.all([work(1), work(2), work(3)]);
    isOver = true;
    expect(resumed.map(({ caller }) => caller)).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
    expect(new Set(resumed.map(({ loop: turn }) => turn)).size).toBe(resumed.length);
  });
});
