import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import type { PolicyKind } from "@routeplane/policy-spec";
import type { Faults } from "./spec-faults.ts";

/**
 * Faults that the service found in a policy, by paths in its JSON. In the contract, a spec is in a field named after its kind, and a list
 * of names is a message.
 */
export function serviceFaults(error: unknown, kind: PolicyKind): Faults {
  const failure = ConnectError.from(error);
  const violations = failure.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  const faults = new Map(violations.map(({ field, description }) => [toWrittenPath(field, kind), description]));
  const isNameTaken = failure.findDetails(ErrorInfoSchema).some(({ reason }) => reason === "NAME_TAKEN");
  return isNameTaken ? faults.set("name", failure.rawMessage.replace(/^name: /, "")) : faults;
}

function toWrittenPath(field: string, kind: PolicyKind): string {
  return field
    .replace(new RegExp(`^spec\\.${kind}\\b`), "spec")
    .replace(/(_allow|_deny)\.(?:models|tiers|modalities|tools)\b/, "$1");
}
