import { expect, it } from "vitest";
import { guardrailTextFaults } from "./text-faults.ts";

const pattern = (name: string, text = "secret") => {
  return { name, pattern: text, action: "block", appliesTo: "both" } as const;
};

it("names every text that no policy may have, by list and index", () => {
  const faults = guardrailTextFaults({
    modelAllow: ["gpt-4o", " "],
    modelDeny: ["\u200b", "gpt-*"],
    contentPatterns: [pattern("a"), pattern("a"), pattern("b", "x\u0000"), pattern("c", "\ud800")],
  });
  const unstorable = "must not contain U+0000 or an unpaired surrogate";
  expect([...faults]).toEqual([
    { list: "model_allow", index: 1, member: undefined, rule: "must not be blank" },
    { list: "model_deny", index: 0, member: undefined, rule: "must not be blank" },
    { list: "content_patterns", index: 1, member: "name", rule: "is the name of another pattern of this guardrail" },
    { list: "content_patterns", index: 2, member: "pattern", rule: unstorable },
    { list: "content_patterns", index: 3, member: "pattern", rule: unstorable },
  ]);
});

it("finds nothing in a guardrail without texts", () => {
  expect([...guardrailTextFaults({})]).toEqual([]);
});
