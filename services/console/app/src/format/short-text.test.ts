import { expect, test } from "vitest";
import { shortText } from "./short-text.ts";

test("cuts long texts between characters, and keeps others as they are", () => {
  expect(shortText("gpt-4o-mini", 11)).toBe("gpt-4o-mini");
  expect(shortText("gpt-4o-mini", 10)).toBe("gpt-4o-mi…");
  expect(shortText("🦊".repeat(900), 3)).toBe("🦊🦊…");
});
