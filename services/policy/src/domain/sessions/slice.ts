import type { Id } from "@routeplane/domain";
import type { SliceDimension } from "./session.ts";

/** Part of a counter that is set aside for a session. Sums since the session began, in nano-USD or slots. */
export interface Slice {
  readonly granted: bigint;
  readonly returned: bigint;
  /** Used by requests that were reported, each once, up to its bound. Slots are not used up: always 0. */
  readonly used: bigint;
  /** Maximum that the gateway lets be in doubt. */
  readonly doubt: bigint;
  /** Part of a settled session's slice that may have been in doubt. */
  readonly heldBack: bigint;
}

export const NO_SLICE: Slice = { granted: 0n, returned: 0n, used: 0n, doubt: 0n, heldBack: 0n };

/** Name of a slice within its namespace. */
export interface SliceKey {
  readonly bindingId: Id<"bnd">;
  readonly sessionId: Id<"gws">;
  readonly dimension: SliceDimension;
}

/** Amount that the session may still spend, as far as this service knows. */
export function outstandingOf({ granted, returned, used }: Slice): bigint {
  const amount = granted - returned - used;
  return amount > 0n ? amount : 0n;
}

/** Amount of a slice that its counter has as reserved. */
export function reservedBySlice(slice: Slice): bigint {
  return outstandingOf(slice) + slice.heldBack;
}

/** Slice after a request of this amount was reported. A request that the log lacked lowers what is held back. */
export function useSlice(slice: Slice, amount: bigint): Slice {
  const { used, heldBack } = slice;
  return { ...slice, used: used + amount, heldBack: heldBack > amount ? heldBack - amount : 0n };
}

/** Slice after the gateway has reported its sums: the larger of each. */
export function mergeSums(slice: Slice, told: Pick<Slice, "granted" | "returned" | "doubt">): Slice {
  // A grant that this service does not know was lost with its database: it is adopted, because the gateway may spend it.
  const granted = larger(slice.granted, told.granted);
  const returned = larger(slice.returned, told.returned < granted ? told.returned : granted);
  return { ...slice, granted, returned, doubt: larger(slice.doubt, told.doubt) };
}

/** Slice of a session that is settled from the log: what may be in doubt stays reserved, the rest is free. Slots are never in doubt. */
export function settleSlice(slice: Slice, dimension: SliceDimension): Slice {
  const outstanding = outstandingOf(slice);
  const heldBack = dimension === "money" && slice.doubt < outstanding ? slice.doubt : outstanding;
  return {
    ...slice,
    returned: slice.returned + outstanding,
    heldBack: slice.heldBack + (dimension === "money" ? heldBack : 0n),
  };
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
