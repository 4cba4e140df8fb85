import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { CliError, ExitCode } from "../errors.ts";

/** How wire values look in `--json`: RFC 3339 in UTC, numbers, and null for what is absent. */

export function fromProtoTime(timestamp: Timestamp | undefined): string | null {
  return timestamp === undefined ? null : timestampDate(timestamp).toISOString();
}

/** For what the contract always sets. */
export function fromProtoRequiredTime(timestamp: Timestamp | undefined): string {
  return timestampDate(requirePresent(timestamp)).toISOString();
}

/** For what the contract always sets. */
export function requirePresent<T>(resource: T | undefined): T {
  if (resource !== undefined) return resource;
  throw new CliError(ExitCode.failed, "internal", "ANSWER_UNINTELLIGIBLE", "the node's answer lacks what it must hold");
}

/** Amounts and counts are within 2^53 by contract, so that every JSON reader reads them exactly. */
export function fromProtoInteger(integer: bigint): number {
  return Number(integer);
}

export function fromProtoText(text: string): string | null {
  return text === "" ? null : text;
}
