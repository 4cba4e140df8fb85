import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, type ErrorInfo, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";

/** Invalid fields of a request, e.g. `limits.budget.limit_micro_usd`, each with the fault that the service found. */
export type FieldErrors = ReadonlyMap<string, string>;

/** Reads the fields that a service refused; empty for an error that names none. Several faults of a field are joined in one text. */
export function fieldErrorsOf(error: unknown): FieldErrors {
  const found = new Map<string, string>();
  if (!(error instanceof ConnectError)) return found;
  for (const { fieldViolations } of error.findDetails(BadRequestSchema)) {
    for (const { field, description } of fieldViolations) {
      const before = found.get(field);
      found.set(field, before === undefined ? description : `${before}; ${description}`);
    }
  }
  return found;
}

/** Reason of an error, e.g. `SCOPE_EXCEEDS_PARENT`, with its metadata; undefined for one that did not come from a service. */
export function errorInfoOf(error: unknown): ErrorInfo | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  return error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === "routeplane");
}
