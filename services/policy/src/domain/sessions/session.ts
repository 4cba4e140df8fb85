import type { Id } from "@routeplane/domain";

/**
 * State of a gateway session. It is granted slices only while `open` and not left. `ended`: granted nothing, its requests are reported;
 * `settled`: settled from the usage log, what may have been in doubt is held back; `closed`: final.
 */
export type SessionState = "open" | "ended" | "settled" | "closed";

/** Dimensions whose slices are kept as sums. Rate slices need none: they are counted in their window at once. */
export type SliceDimension = "money" | "concurrent";

/** Dimensions of rate slices. */
export type RateDimension = "requests" | "tokens";

/** Time for which a renewal is valid. Milliseconds. */
export const SESSION_LENGTH_MS = 30_000;

/** Renewal of a session. */
export interface Renewal {
  readonly sessionId: Id<"gws">;
  /** Number of this renewal, from 1, which opens the session. */
  readonly renewal: bigint;
  /** Random number of this renewal. */
  readonly nonce: bigint;
  /** Name of the gateway process for people. */
  readonly gateway: string;
}

/** Session as it is stored. */
export interface GatewaySession {
  readonly state: SessionState;
  readonly renewal: bigint;
  readonly nonce: bigint;
  /** True if it is not renewed any more: it ends by itself. */
  readonly isLeft: boolean;
}

/**
 * Effect of a renewal on a session that exists: `renew` it, `repeat` what was done, `leave` it because two processes use it, or `refuse`.
 *
 * A number that was passed already changes nothing: it is a late repetition, or comes from a copy of the process, which must stop. Another
 * nonce for the last number means two processes: the session ends for both. It ends by not being renewed, because the other process can
 * spend its slices until then.
 */
export function decideRenewal(
  session: GatewaySession,
  { renewal, nonce }: Renewal,
): "renew" | "repeat" | "leave" | "refuse" {
  if (session.state !== "open" || session.isLeft || renewal < session.renewal) return "refuse";
  if (renewal > session.renewal) return "renew";
  return nonce === session.nonce ? "repeat" : "leave";
}
