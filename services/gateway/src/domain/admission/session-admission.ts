import type { SliceReservation } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { SlicedAdmission } from "../ports/admissions.ts";
import type { GatewaySession, SessionLimitSet } from "./gateway-session.ts";

/** Admission on the slices of a session. */
export class SessionAdmission implements SlicedAdmission {
  readonly sessionId: Id<"gws">;
  readonly limitSet: number;
  readonly countedAt: Date | undefined;
  readonly boundNanoUsd: bigint;
  readonly tokensMax: number;
  readonly #session: GatewaySession;
  readonly #reservation: SliceReservation;
  readonly #clock: () => number;

  constructor(
    session: GatewaySession,
    { number }: SessionLimitSet,
    reservation: SliceReservation,
    clock: () => number,
  ) {
    const { countedAtMs, bounds } = reservation;
    this.sessionId = session.id;
    this.limitSet = number;
    this.countedAt = countedAtMs === undefined ? undefined : new Date(countedAtMs);
    this.boundNanoUsd = BigInt(bounds.nanoUsd);
    this.tokensMax = bounds.tokens;
    this.#session = session;
    this.#reservation = reservation;
    this.#clock = clock;
    session.openRequests++;
    session.startDoubt(clock());
  }

  get maySend(): boolean {
    return this.#session.isUsable(this.#clock());
  }

  acknowledgeAdmission(): void {
    this.#session.endDoubt(this.#reservation, this.#clock());
  }

  end(): void {
    this.#reservation.end();
  }

  settle(costNanoUsd: bigint): void {
    this.#session.endDoubt(this.#reservation, this.#clock());
    this.#reservation.settle(Number(costNanoUsd));
  }

  markReported(): void {
    this.#session.openRequests--;
  }
}
