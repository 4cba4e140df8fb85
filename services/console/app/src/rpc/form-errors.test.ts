import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { expect, test } from "vitest";
import { errorAt, isUncertain, formErrorsOf } from "./form-errors.ts";

test("shows the faults of a field and its subfields at the field", () => {
  const errors = new Map([
    ["name", "must not be blank"],
    ["limits.budget.limit_micro_usd", "must be above 0"],
    ["limits.budget.window", "is missing."],
    ["limits.budgets", "is another"],
  ]);
  expect(errorAt(errors, "name")).toBe("Must not be blank.");
  expect(errorAt(errors, "limits.budget")).toBe("Must be above 0. Is missing.");
  expect(errorAt(errors, "scopes")).toBeUndefined();
});

test("shows a refusal for exceeding the parent at its field", () => {
  const info = { desc: ErrorInfoSchema, value: { reason: "SCOPE_EXCEEDS_PARENT", domain: "routeplane" } };
  const refusal = new ConnectError("scopes: yours lacks audit:read", Code.PermissionDenied, undefined, [info]);
  expect([...formErrorsOf(refusal)]).toEqual([["scopes", "yours lacks audit:read"]]);
  expect(formErrorsOf(new ConnectError("down", Code.Unavailable)).size).toBe(0);
});

test("prefers the fields that the service names", () => {
  const bad = {
    desc: BadRequestSchema,
    value: { fieldViolations: [{ field: "limits.budget", description: "too high" }] },
  };
  const error = new ConnectError("limits.budget: too high", Code.PermissionDenied, undefined, [bad]);
  expect([...formErrorsOf(error)]).toEqual([["limits.budget", "too high"]]);
});

test("recognises errors after which the change may have been made", () => {
  const withReason = (reason: string, metadata: Record<string, string> = {}) =>
    new ConnectError("failed", Code.Unavailable, undefined, [
      { desc: ErrorInfoSchema, value: { reason, domain: "routeplane", metadata } },
    ]);
  const without = (code: Code) => new ConnectError("failed", code);
  const uncertain = [
    withReason("INTERNAL"),
    withReason("DEPENDENCY_UNAVAILABLE", { dependency: "auth", outcome: "unknown" }),
    ...[Code.Unavailable, Code.Unknown, Code.DeadlineExceeded].map(without),
  ];
  expect(uncertain.map(isUncertain)).toEqual(uncertain.map(() => true));
  const certain = [
    withReason("DEPENDENCY_UNAVAILABLE"),
    withReason("LINEAGE_TOO_DEEP"),
    // Refusals of the console itself: too many calls, and another namespace.
    ...[Code.ResourceExhausted, Code.FailedPrecondition].map(without),
  ];
  expect(certain.map(isUncertain)).toEqual(certain.map(() => false));
});
