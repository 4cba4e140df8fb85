import { expect, test } from "vitest";
import { newDraft } from "./draft.ts";
import { judgeDraft } from "./judged-draft.ts";

const DRAFT = { ...newDraft("budget"), name: "Daily" };

test("validates the fields, or the JSON in their place", () => {
  expect(judgeDraft({ ...DRAFT, budget: { ...DRAFT.budget, limitUsd: "2", window: "day" } }, undefined)).toMatchObject({
    spec: { kind: "budget", limitMicroUsd: 2_000_000n, window: "day" },
    faults: new Map(),
  });
  expect(judgeDraft(DRAFT, '{"window":"hour","limit_micro_usd":5}').spec).toMatchObject({
    window: "hour",
    limitMicroUsd: 5n,
  });
});

test("returns no spec if a field other than the name has a fault", () => {
  expect(judgeDraft({ ...DRAFT, name: "" }, undefined)).toMatchObject({ spec: undefined });
  const unnamed = judgeDraft({ ...DRAFT, name: "" }, '{"window":"hour","limit_micro_usd":5}');
  expect(unnamed.spec).toBeDefined();
  expect([...unnamed.faults.keys()]).toEqual(["name"]);
});

test("reports a text that is not JSON", () => {
  expect(judgeDraft(DRAFT, "{").faults.get("spec")).toMatch(/^is not JSON/);
});

test("returns the patterns of a preset by their path", () => {
  const json = '{"guardrail":{"content_patterns":[{"name":"a","pattern":"x("}]}}';
  expect(judgeDraft({ ...DRAFT, kind: "preset" }, json).patterns).toEqual(
    new Map([["spec.guardrail.content_patterns[0].pattern", "x("]]),
  );
});
