import { DomainError, type ErrorCode } from "@routeplane/domain";

/** Codes by which the policy service refuses the content of a report. All other codes are of the call: of its credential, rate or time. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  "invalid_argument",
  "not_found",
  "already_exists",
  "failed_precondition",
]);

/**
 * Returns true for an error that the same report gets at every attempt. Errors other than a DomainError are made by this process, from the
 * content too.
 */
export function isLastingRefusal(error: unknown): boolean {
  return !(error instanceof DomainError) || REFUSALS.has(error.code);
}

export function isUnavailable(error: unknown): boolean {
  return error instanceof DomainError && error.code === "unavailable";
}
