import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { CliError, ExitCode } from "../errors.ts";

/** Conversion of wire values to the values of `--json`: RFC 3339 in UTC, numbers, and null for absent fields. */

export function fromProtoTime(timestamp: Timestamp | undefined): string | null {
  return timestamp === undefined ? null : timestampDate(timestamp).toISOString();
}

/** Converts a time that the contract always sets. */
export function fromProtoRequiredTime(timestamp: Timestamp | undefined): string {
  return timestampDate(requirePresent(timestamp)).toISOString();
}

/** Value of a message field that the contract always sets. @throws CliError ANSWER_UNINTELLIGIBLE if it is absent */
export function requirePresent<T>(field: T | undefined): T {
  if (field !== undefined) return field;
  throw new CliError(
    ExitCode.failed,
    "internal",
    "ANSWER_UNINTELLIGIBLE",
    "the answer of the node lacks a required field",
  );
}

/** Converts an amount or a count. The contract bounds them below 2^53, so that every JSON reader reads them exactly. */
export function fromProtoInteger(integer: bigint): number {
  return Number(integer);
}

/** Converts a sum, which no contract bounds: a number up to 2^53, and beyond it a bigint, so that every digit is printed. */
export function fromProtoSum(integer: bigint): number | bigint {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

/** Converts an amount or a count that may be unknown. */
export function fromProtoCount(integer: bigint | undefined): number | null {
  return integer === undefined ? null : fromProtoInteger(integer);
}

export function fromProtoText(text: string): string | null {
  return text === "" ? null : text;
}
