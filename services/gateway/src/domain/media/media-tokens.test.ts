import { describe, expect, it } from "vitest";
import type { Medium } from "./media.ts";
import { boundMedia } from "./media-tokens.ts";

/** Tokens around a medium. */
const FRAME = 12;
const image = (width: number, height: number, detail?: string): Medium => ({
  kind: "image",
  size: { width, height },
  detail,
});
const unknown: Medium = { kind: "image", size: undefined, detail: undefined };
const tokensOf = (medium: Medium, model: string) => boundMedia([medium], model) - FRAME;

describe("an image", () => {
  // The first six are examples of OpenAI's guide, the next ones of Anthropic's and Google's.
  it.each<[string, Medium, number]>([
    ["gpt-4o", image(1_024, 1_024), 765],
    ["gpt-4o", image(2_048, 4_096), 1_105],
    ["gpt-4o", image(4_096, 8_192, "low"), 85],
    ["gpt-4.1-mini", image(1_024, 1_024), 1_659],
    ["o4-mini", image(1_800, 2_400), 2_642],
    ["gpt-4o-mini-2024-07-18", image(1_024, 1_024), 2_833 + 4 * 5_667],
    ["openai/gpt-5", image(1_024, 1_024), 70 + 4 * 140],
    ["o3", image(512, 512), 75 + 150],
    ["claude-sonnet-4-5", image(200, 200), 72],
    ["claude-3-opus-latest", image(4_000, 3_000), 1_650],
    ["gemini-2.5-flash", image(384, 384), 258],
    ["gemini-2.5-flash", image(960, 540), 6 * 258],
    ["grok-4", image(1_024, 768), 7 * 256],
  ])("costs %s %j at most %d tokens", (model, medium, tokens) => {
    expect(tokensOf(medium, model)).toBe(tokens);
  });

  it("is at least what the formula of Anthropic's guide gives", () => {
    for (const [width, height] of [
      [200, 200],
      [1_000, 1_000],
      [1_092, 1_092],
      [1_568, 784],
      [29, 29],
    ] as const) {
      const real = Math.min(1_600, Math.ceil((width * height) / 750));
      expect(tokensOf(image(width, height), "claude-sonnet-4-5")).toBeGreaterThanOrEqual(real);
    }
  });

  it("never costs more than the model's maximum, whatever its header says, and costs the maximum if nothing is known", () => {
    for (const [model, max] of [
      ["gpt-4o", 1_445],
      ["claude-opus-4-8", 5_000],
      ["gpt-4.1-nano", 3_779],
    ] as const) {
      expect(tokensOf(image(65_535, 65_535), model)).toBeLessThanOrEqual(max);
      expect(tokensOf(unknown, model)).toBe(max);
    }
  });

  it("is bounded by the dearest formula for a model of no known family", () => {
    for (const model of [
      "gpt-4o-mini",
      "claude-opus-5",
      "gemini-3-pro",
      "qwen-vl",
      "llama-4",
      "gpt-5.4-nano",
      "grok-4",
    ]) {
      for (const medium of [image(1_024, 768), image(100, 100), image(60_000, 10), unknown]) {
        expect(tokensOf(medium, "my-deployment")).toBeGreaterThanOrEqual(tokensOf(medium, model));
      }
    }
  });

  it("has the low level of detail only where it says so in the words of the API", () => {
    for (const detail of ["LOW", "auto", "high", "", undefined]) {
      expect(tokensOf(image(1_024, 1_024, detail), "gpt-4o")).toBe(765);
    }
  });
});

describe("other media", () => {
  const pageSize = { width: 61_200, height: 79_200 };

  it("of a document are the images of its pages and their texts", () => {
    const text = 2 * 60 + 750;
    expect(tokensOf({ kind: "document", pages: 2, pageSize, textBytes: 1_000 }, "gpt-4o")).toBe(2 * 765 + text);
    expect(tokensOf({ kind: "document", pages: 2, pageSize, textBytes: undefined }, "gpt-4o")).toBe(2 * 4_765);
    expect(tokensOf({ kind: "document", pages: 2, pageSize: undefined, textBytes: 1e9 }, "gpt-4o")).toBe(2 * 5_445);
    expect(tokensOf({ kind: "document", pages: 1_000_000, pageSize, textBytes: 0 }, "gpt-4o")).toBe(1_000_000);
  });

  it("are seconds of audio, bytes of a text, and the whole context for a file of any length", () => {
    expect(tokensOf({ kind: "audio", seconds: 60 }, "gpt-4o-audio-preview")).toBe(600);
    expect(tokensOf({ kind: "audio", seconds: 60 }, "gemini-2.5-flash")).toBe(1_920);
    expect(tokensOf({ kind: "audio", seconds: 60 }, "whatever")).toBe(3_000);
    expect(tokensOf({ kind: "text", bytes: 500 }, "gpt-4o")).toBe(500);
    expect(tokensOf({ kind: "file" }, "gpt-4o")).toBe(1_000_000);
    expect(boundMedia([], "gpt-4o")).toBe(0);
  });
});
