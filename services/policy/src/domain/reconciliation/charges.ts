import type { Id } from "@routeplane/domain";
import type { Reservation } from "../admission/reservation.ts";

/** What a request took from budgets, and what they were charged for it. */
export interface ChargedReservation extends Pick<Reservation, "requestId" | "state" | "expiresAt"> {
  readonly keyId: Id<"key">;
  /** What it took. Nano-USD. */
  readonly reservedNano: bigint;
  /** What it cost; undefined unless it is settled. Nano-USD. */
  readonly costNano: bigint | undefined;
}

/** A row of the request log. */
export interface LoggedCharge {
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
  /** As the usage service calls it. */
  readonly status: string;
  /** Nano-USD. */
  readonly costNano: bigint;
  /** When the gateway received it, by its clock. */
  readonly createdAt: Date;
}

export interface RequestKey {
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
}

/** A request that its budgets and the request log do not charge the same. */
export interface ChargeDifference extends RequestKey {
  /** Nano-USD. */
  readonly budgetNano: bigint;
  /** Undefined: no budget knows it. */
  readonly reservationState: Reservation["state"] | undefined;
  /** Nano-USD. */
  readonly logNano: bigint;
  /** Undefined: the log does not know it. */
  readonly requestStatus: string | undefined;
}

/** What a counter says, and what the holds on it amount to. */
export interface CounterReading {
  readonly policyId: Id<"pol">;
  readonly bindingId: Id<"bnd">;
  readonly reserved: { readonly counted: bigint; readonly expected: bigint };
  /** Undefined: its window was edited, so that it is not known when it counts what. */
  readonly spent:
    | {
        readonly counted: bigint;
        readonly min: bigint;
        /** Undefined: it counts also what is not kept any more. */
        readonly max: bigint | undefined;
        /** From when on; undefined: from the beginning. */
        readonly since: Date | undefined;
      }
    | undefined;
}

export interface CounterDifference extends Pick<CounterReading, "policyId" | "bindingId"> {
  readonly quantity: "reserved" | "spent";
  readonly counted: bigint;
  readonly min: bigint;
  readonly max: bigint | undefined;
  readonly since: Date | undefined;
}

/**
 * Whether budgets and log charge a request the same: `running` if nothing can be said of it yet, undefined if they do.
 *
 * @param hold undefined: there is none, though a budget applies
 * @param rows of the request; more than one is a fault of the log, and each of them charges
 */
export function compareCharge(
  hold: ChargedReservation | undefined,
  rows: readonly LoggedCharge[],
  now: Date,
): ChargeDifference | "running" | undefined {
  const isOpen = hold?.state === "open" && hold.expiresAt > now;
  if (rows.some(({ status }) => status === "pending") || (isOpen && rows.length === 0)) return "running";
  const [row] = rows;
  const known = hold ?? row;
  if (known === undefined) return undefined;
  const budgetNano = hold === undefined ? 0n : chargeOf(hold);
  const logNano = rows.reduce((sum, { costNano }) => sum + costNano, 0n);
  // What nobody settled is charged what it took, in the log as soon as that is given up.
  const isHeldUp = isOpen && row?.status !== "unknown";
  if (budgetNano === logNano && !isHeldUp) return undefined;
  const { keyId, requestId } = known;
  return { keyId, requestId, budgetNano, reservationState: hold?.state, logNano, requestStatus: row?.status };
}

/** One that is still open holds all of it; one that is overdue will be charged that. */
function chargeOf({ state, reservedNano, costNano }: ChargedReservation): bigint {
  if (state === "voided") return 0n;
  return state === "settled" ? (costNano ?? 0n) : reservedNano;
}

export function counterDifferencesOf({
  policyId,
  bindingId,
  reserved,
  spent,
}: CounterReading): readonly CounterDifference[] {
  const differences: CounterDifference[] = [];
  const { counted, expected } = reserved;
  if (counted !== expected) {
    const range = { min: expected, max: expected, since: undefined };
    differences.push({ policyId, bindingId, quantity: "reserved", counted, ...range });
  }
  if (spent !== undefined && (spent.counted < spent.min || spent.counted > (spent.max ?? spent.counted))) {
    differences.push({ policyId, bindingId, quantity: "spent", ...spent });
  }
  return differences;
}
