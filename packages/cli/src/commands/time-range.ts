import { usageError } from "../errors.ts";

/** Refuses a range whose ends are mixed up: it would be empty, and look as if there were no requests. */
export function requireOrderedRange({ from, to }: { readonly from?: Date; readonly to?: Date }): void {
  if (from === undefined || to === undefined || from < to) return;
  throw usageError(`--from must be before --to: ${from.toISOString()} is not before ${to.toISOString()}`);
}
