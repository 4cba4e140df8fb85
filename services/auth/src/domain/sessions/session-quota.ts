import { DomainError } from "@routeplane/domain";

/** Maximum number of sessions of one credential that have neither ended nor expired. */
const MAX_SESSIONS = 100;
/** Maximum number of sessions that one credential opens within the lifetime of a session. Ended ones count too, because they are kept. */
const MAX_OPENED = 1_000;
/** Maximum number of sign-in codes of one credential that are neither used nor expired. */
const MAX_CODES = 10;

/** Numbers of the sessions that one credential has opened within the lifetime of a session. */
export interface SessionCounts {
  readonly opened: number;
  /** Number of those that have neither ended nor expired. */
  readonly live: number;
}

/** @throws DomainError RESOURCE_EXHAUSTED if a credential has reached its quota of live or of opened sessions */
export function requireRoomForSession({ opened, live }: SessionCounts): void {
  if (live >= MAX_SESSIONS) {
    const message = `a credential has at most ${MAX_SESSIONS} sessions that have not ended: end one (routeplane cloud sessions revoke)`;
    throw limitReached(message, MAX_SESSIONS);
  }
  if (opened < MAX_OPENED) return;
  throw limitReached(`a credential opens at most ${MAX_OPENED} sessions within 12 hours: try again later`, MAX_OPENED);
}

/** @throws DomainError RESOURCE_EXHAUSTED if a credential has reached its quota of open sign-in codes */
export function requireRoomForCode(count: number): void {
  if (count < MAX_CODES) return;
  throw limitReached(`a credential has at most ${MAX_CODES} open sign-in codes: use one, or wait a minute`, MAX_CODES);
}

function limitReached(message: string, limit: number): DomainError {
  return new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata: { limit: `${limit}` } });
}
