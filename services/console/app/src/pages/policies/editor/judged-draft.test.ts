import { expect, test } from "vitest";
import { newDraft } from "./draft.ts";
import { judgeDraft } from "./judged-draft.ts";

const DRAFT = { ...newDraft("budget"), name: "Daily" };

test("judges the fields, or the JSON in their place", () => {
  expect(judgeDraft({ ...DRAFT, budget: { ...DRAFT.budget, limitUsd: "2", window: "day" } }, undefined)).toMatchObject({
    spec: { kind: "budget", limitMicroUsd: 2_000_000n, window: "day" },
    faults: new Map(),
  });
  expect(judgeDraft(DRAFT, '{"window":"hour","limit_micro_usd":5}').spec).toMatchObject({
    window: "hour",
    limitMicroUsd: 5n,
  });
});

test("reads no spec from faulty fields, a faulty name aside", () => {
  expect(judgeDraft({ ...DRAFT, name: "" }, undefined)).toMatchObject({ spec: undefined });
  const unnamed = judgeDraft({ ...DRAFT, name: "" }, '{"window":"hour","limit_micro_usd":5}');
  expect(unnamed.spec).toBeDefined();
  expect([...unnamed.faults.keys()]).toEqual(["name"]);
});

test("says of a text that is no JSON that it is none", () => {
  expect(judgeDraft(DRAFT, "{").faults.get("spec")).toMatch(/^is not JSON/);
});

test("hands out the patterns of a preset by their path", () => {
  const json = '{"guardrail":{"content_patterns":[{"name":"a","pattern":"x("}]}}';
  expect(judgeDraft({ ...DRAFT, kind: "preset" }, json).patterns).toEqual(
    new Map([["spec.guardrail.content_patterns[0].pattern", "x("]]),
  );
});
