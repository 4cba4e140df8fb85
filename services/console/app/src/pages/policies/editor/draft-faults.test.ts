import { expect, test } from "vitest";
import { faultAt, shownFaults, toFormFaults } from "./draft-faults.ts";

const FAULTS = new Map([
  ["spec.budget.limit_micro_usd", "must be a whole number from 1 to 9000000000000000"],
  ["spec.guardrail.model_deny[3]", "must not be blank"],
  ["spec.guardrail.content_patterns[0].name", "must not be blank"],
]);

test("names dollars in faults of fields that are in dollars", () => {
  expect(toFormFaults(FAULTS).get("spec.budget.limit_micro_usd")).toMatch(/^must be an amount in USD above 0/);
  expect(toFormFaults(FAULTS).get("spec.guardrail.model_deny[3]")).toBe("must not be blank");
});

test("shows the faults of edited fields, and all faults after an attempt to save", () => {
  const edited = new Set(["spec.guardrail.model_deny", "spec.guardrail.content_patterns[0].name"]);
  expect([...shownFaults(FAULTS, edited, false).keys()]).toEqual([
    "spec.guardrail.model_deny[3]",
    "spec.guardrail.content_patterns[0].name",
  ]);
  expect(shownFaults(FAULTS, new Set(), true)).toBe(FAULTS);
});

test("shows the fault of an entry at its list, and the fault of a member of an entry only at the member", () => {
  expect(faultAt(FAULTS, "spec.guardrail.model_deny")).toBe("Entry 4 must not be blank.");
  expect(faultAt(FAULTS, "spec.guardrail.content_patterns")).toBeUndefined();
  expect(faultAt(FAULTS, "spec.guardrail.content_patterns[0].name")).toBe("Must not be blank.");
});
