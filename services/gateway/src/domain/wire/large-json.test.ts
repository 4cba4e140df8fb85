import { describe, expect, it, vi } from "vitest";
import { Cancellation } from "../ports/cancel-signal.ts";
import { writeLargeJson } from "./large-json.ts";

const written = async (value: Record<string, unknown>) =>
  Buffer.concat(await writeLargeJson(value, new Cancellation())).toString("utf8");

describe("writeLargeJson", () => {
  it.each<[string, string]>([
    ["ASCII", "a".repeat(2_500_000)],
    ["escapes", '"\\\n'.repeat(700_000)],
    ["characters of two halves, at any stretch", `a${"\u{1F600}".repeat(1_100_000)}`],
    ["lone halves of characters", "\ud83d".repeat(1_200_000)],
    ["a half at the very end", `${"a".repeat(999_999)}\ud83d`],
  ])("writes long strings of %s as JSON.stringify does", async (_, long) => {
    const value = { first: long, list: [1, long, { "": long.slice(0, 150_000) }], short: "x", none: null };
    expect((await written(value)) === JSON.stringify(value)).toBe(true);
  });

  it("writes a value without long strings, also with digits that no number holds", async () => {
    const exact = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON("12345678901234567890");
    expect(await written({ seed: exact, text: "é" })).toBe('{"seed":12345678901234567890,"text":"é"}');
  });

  it("has other work done between two stretches, and stops once it is cancelled", async () => {
    const signal = new Cancellation();
    const turn = vi.fn<() => void>();
    const turns = setInterval(turn, 0);
    await writeLargeJson({ text: "a".repeat(20_000_000) }, signal);
    expect(turn.mock.calls.length).toBeGreaterThan(1);
    clearInterval(turns);
    const writing = writeLargeJson({ text: "a".repeat(20_000_000) }, signal);
    signal.abort("client_gone");
    await expect(writing).rejects.toBe("client_gone");
  });
});
