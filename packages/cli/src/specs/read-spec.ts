import type { MessageInitShape } from "@bufbuild/protobuf";
import type { PolicySpecSchema } from "@routeplane/contracts/policy";
import { StrictJson } from "@routeplane/domain";
import { fromWrittenJson, type PolicyKind } from "@routeplane/policy-spec";
import { toProtoSpec } from "@routeplane/policy-spec/proto";
import { CliError, ExitCode } from "../errors.ts";

/** Parses a spec that a user has written (see `policy create --help`). @throws CliError with the path, from `spec` on, and the rule */
export function readSpec(kind: PolicyKind, value: unknown): MessageInitShape<typeof PolicySpecSchema> {
  return toProtoSpec(fromWrittenJson(kind, writtenJson(value)));
}

/** JSON that a user has written. A fault in it is thrown as a CliError with the path, from `path` on, and the rule. */
export function writtenJson(value: unknown, path = "spec"): StrictJson {
  return new StrictJson(value, path, specFault);
}

function specFault(path: string, rule: string): CliError {
  return new CliError(ExitCode.usage, "invalid_argument", "FIELD_INVALID", `${path}: ${rule}`, {
    fields: [{ field: path, rule }],
  });
}
