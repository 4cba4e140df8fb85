import { describe, expect, it } from "vitest";
import { MAX_INSTRUCTIONS, patternFault } from "./pattern.ts";
import { MAX_PATTERN_CHARS } from "./spec.ts";

describe("a pattern that is written into a policy", () => {
  it.each([
    "secret",
    "(?i)confidential",
    String.raw`\b\d{3}-\d{2}-\d{4}\b`,
    String.raw`[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}`,
    String.raw`(?P<key>sk-[A-Za-z0-9]{20,})`,
    "^x$",
    "ключ|鍵|🔑",
  ])("is accepted if it is RE2: %s", (pattern) => {
    expect(patternFault(pattern)).toBeUndefined();
  });

  it.each([
    ["a(?=b)", 1, "Perl syntax"],
    ["a(?!b)", 1, "Perl syntax"],
    [String.raw`(a)\1`, 3, "escape"],
    ["ab**", 2, "repetition"],
    ["*a", 0, "repetition"],
    ["a[z-b]", 2, "range"],
    ["a[b", 1, "]"],
    ["a(b", 1, ")"],
    ["(a)(b[)](c", 2 + 6, ")"],
    ["ab)c", 2, ")"],
    [String.raw`\(a)`, 3, ")"],
    ["abc\\", 3, "backslash"],
    ["x{2000}", 1, "repeat count"],
    [String.raw`a\p{Nothing}`, 1, "range"],
  ])("is refused with the position of the fault if it is not: %s", (pattern, position, word) => {
    const fault = patternFault(pattern);
    expect(fault?.position).toBe(position);
    expect(fault?.message).toMatch(/^is not an RE2 pattern: /);
    expect(fault?.message).toContain(`at character ${position + 1}`);
    expect(fault?.message).toContain(word);
  });

  it.each(["x*", "a?", "^", "$", String.raw`\b`, "(|a)", "(?m)^$", "a{0}", "(a*)*"])(
    "is refused if it matches the empty text: %s",
    (pattern) => expect(patternFault(pattern)?.message).toContain("empty text"),
  );

  it("is refused if it exceeds the bounds or is empty", () => {
    expect(patternFault("")?.message).toBe("is empty");
    expect(patternFault("a".repeat(MAX_PATTERN_CHARS))).toBeUndefined();
    expect(patternFault("a".repeat(MAX_PATTERN_CHARS + 1))?.message).toContain(String(MAX_PATTERN_CHARS));
    expect(patternFault(String.raw`\pL{1,1000}`)?.message).toContain(String(MAX_INSTRUCTIONS));
    expect(patternFault("(?:a{0,1000}){1000}b")?.message).toMatch(/^is too large/);
    expect(patternFault("(?:(?:a{9}){9}){9}".repeat(28))?.message).toMatch(/^is too large/);
  });
});
