import { usageError } from "../errors.ts";

/** An empty range answers nothing and looks as if there were nothing: the ends were mixed up. */
export function requireRange({ from, to }: { readonly from?: Date; readonly to?: Date }): void {
  if (from !== undefined && to !== undefined && from >= to) throw usageError("--from must be before --to");
}
