import { describe, expect, it } from "vitest";
import { MAX_OPEN_TEXTS, OpenTexts } from "./open-texts.ts";

function opened(count: number): OpenTexts<number> {
  const texts = new OpenTexts<number>();
  for (let index = 0; index < count; index++) texts.begin(`text ${index}`, index);
  return texts;
}

describe("open texts", () => {
  it("end the text with the oldest last piece for good if there are too many", () => {
    const texts = opened(MAX_OPEN_TEXTS);
    expect(texts.find("text 0")).toBe(0);
    expect(texts.begin("more", -1)).toBe(1);
    expect(texts.find("text 1")).toBeUndefined();
    expect(texts.mayBegin("text 1")).toBe(false);
    expect(texts.mayBegin("text 0")).toBe(true);
    expect(texts.all).toHaveLength(MAX_OPEN_TEXTS);
  });

  it("keep no more of the keys than a bound", () => {
    const texts = new OpenTexts<number>();
    let count = 0;
    for (; texts.mayBegin(`${count}`.padStart(1_000, "x")) && count < 2_000; count++) {
      texts.begin(`${count}`.padStart(1_000, "x"), count);
    }
    expect(count).toBe(1_000);
  });
});
