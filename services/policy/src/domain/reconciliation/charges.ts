import type { Id } from "@routeplane/domain";
import type { Reservation } from "../admission/reservation.ts";

/** Reservation on budgets, and its charge. */
export interface ChargedReservation extends Pick<Reservation, "requestId" | "state" | "expiresAt"> {
  readonly keyId: Id<"key">;
  /** Nano-USD. */
  readonly reservedNano: bigint;
  /** Settled cost in nano-USD; undefined unless settled. */
  readonly costNano: bigint | undefined;
  /** True if a service made it for a request of its own, which no gateway logs. */
  readonly isOfService: boolean;
}

/** Row of the request log. */
export interface LoggedCharge {
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
  /** Status as the usage service names it. */
  readonly status: string;
  /** Nano-USD. */
  readonly costNano: bigint;
  /** Moment at which the gateway received the request, by its clock. */
  readonly createdAt: Date;
}

/** Key and request id, by which reservations and rows belong together. */
export interface RequestKey {
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
}

/** Request that budgets and the request log charge differently. */
export interface ChargeDifference extends RequestKey {
  /** Charge by the reservation in nano-USD; 0 without one. */
  readonly budgetNano: bigint;
  /** State of the reservation; undefined if there is none. */
  readonly reservationState: Reservation["state"] | undefined;
  /** Sum of the costs of its rows in nano-USD. */
  readonly logNano: bigint;
  /** Status of the row; undefined if there is none. */
  readonly requestStatus: string | undefined;
}

/** Amounts of a counter, and the amounts that its reservations add up to. Nano-USD. */
export interface CounterReading {
  readonly policyId: Id<"pol">;
  readonly bindingId: Id<"bnd">;
  readonly reserved: { readonly counted: bigint; readonly expected: bigint };
  /** Undefined if the window was edited, because the moments of its amounts are not known then. */
  readonly spent:
    | {
        readonly counted: bigint;
        readonly min: bigint;
        /** Undefined if the counter may include amounts of reservations that are deleted already. */
        readonly max: bigint | undefined;
        /** Start of the compared amounts; undefined for all of them. */
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

/** Gateway session whose state and slices do not agree. */
export interface SessionDifference {
  readonly sessionId: Id<"gws">;
  /** Undefined if the difference concerns no counter. */
  readonly bindingId: Id<"bnd"> | undefined;
  readonly fault: "not_ended" | "no_session" | "closed" | "settled";
  /** Nano-USD. */
  readonly setAsideNano: bigint;
}

/**
 * Compares the charge of a request by its budgets with that by the request log.
 *
 * @param reservation undefined if there is none, though a budget applies
 * @param rows of the request; more than one is a fault of the log, and each of them charges
 * @returns undefined if both are equal, `running` if the request has not ended yet, `unlogged` if it is one of a service
 */
export function compareCharge(
  reservation: ChargedReservation | undefined,
  rows: readonly LoggedCharge[],
  now: Date,
): ChargeDifference | "running" | "unlogged" | undefined {
  if (reservation?.isOfService === true && rows.length === 0) return "unlogged";
  const isOpen = reservation?.state === "open" && reservation.expiresAt > now;
  if (rows.some(({ status }) => status === "pending") || (isOpen && rows.length === 0)) return "running";
  const [row] = rows;
  const request = reservation ?? row;
  if (request === undefined) return undefined;
  const budgetNano = reservation === undefined ? 0n : chargeOf(reservation);
  const logNano = rows.reduce((sum, { costNano }) => sum + costNano, 0n);
  // A request that was never settled is charged in full: by the log once its outcome is unknown, by the budget at expiry.
  const isOpenTooLong = isOpen && row?.status !== "unknown";
  if (budgetNano === logNano && !isOpenTooLong) return undefined;
  const { keyId, requestId } = request;
  return { keyId, requestId, budgetNano, reservationState: reservation?.state, logNano, requestStatus: row?.status };
}

/** Charge of a reservation in nano-USD. One that is open counts in full, as it does once it expires. */
function chargeOf({ state, reservedNano, costNano }: ChargedReservation): bigint {
  if (state === "voided") return 0n;
  return state === "settled" ? (costNano ?? 0n) : reservedNano;
}

export function counterDifferencesOf(reading: CounterReading): readonly CounterDifference[] {
  const { policyId, bindingId, reserved, spent } = reading;
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
