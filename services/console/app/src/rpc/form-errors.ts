import { Code, ConnectError } from "@connectrpc/connect";
import { errorInfoOf, type FieldErrors, fieldErrorsOf } from "./field-errors.ts";

/** Fields of refusals that name no field, by reason. */
const FIELDS_OF_REASONS: Readonly<Record<string, string>> = {
  SCOPE_EXCEEDS_PARENT: "scopes",
  EXPIRY_EXCEEDS_PARENT: "expires_at",
  NAME_TAKEN: "name",
};

/** Faults that a service found in a form, by field; empty for other errors. */
export function formErrorsOf(error: unknown): FieldErrors {
  const errors = fieldErrorsOf(error);
  const field = FIELDS_OF_REASONS[errorInfoOf(error)?.reason ?? ""];
  if (errors.size > 0 || field === undefined || !(error instanceof Error)) return errors;
  return new Map([[field, messageOf(error, field)]]);
}

/** Message of an error without its code and the name of its field. */
function messageOf(error: Error, field: string): string {
  const message = "rawMessage" in error ? String(error.rawMessage) : error.message;
  return message.startsWith(`${field}: `) ? message.slice(field.length + 2) : message;
}

/** Error of a field and its subfields, in one text; undefined if there is none. */
export function errorAt(errors: FieldErrors, path: string): string | undefined {
  const found = [...errors].filter(([field]) => field === path || field.startsWith(`${path}.`));
  return found.length === 0 ? undefined : found.map(([, fault]) => asSentence(fault)).join(" ");
}

function asSentence(fault: string): string {
  const text = `${fault.slice(0, 1).toUpperCase()}${fault.slice(1)}`;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Reasons of errors after which a change may nevertheless have been made, and codes of errors without a reason. */
const UNCERTAIN_REASONS: ReadonlySet<string> = new Set(["DEADLINE_EXCEEDED", "INTERNAL", "CANCELLED"]);
const UNCERTAIN_CODES: ReadonlySet<Code> = new Set([
  Code.Canceled,
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/** True if a failed call may have made its change, because the response was lost. */
export function isUncertain(error: unknown): boolean {
  const info = errorInfoOf(error);
  if (info === undefined) return UNCERTAIN_CODES.has(ConnectError.from(error).code);
  return UNCERTAIN_REASONS.has(info.reason) || info.metadata["outcome"] === "unknown";
}
