import { DomainError } from "@routeplane/domain";

/** Maximum number of sessions of one credential that have neither ended nor expired. */
const MAX_SESSIONS = 100;
/** Maximum number of sign-in codes of one credential that are neither used nor expired. */
const MAX_CODES = 10;

/** @throws DomainError RESOURCE_EXHAUSTED if a credential has its quota of sessions that have not ended */
export function requireRoomForSession(count: number): void {
  if (count < MAX_SESSIONS) return;
  const message = `a credential has at most ${MAX_SESSIONS} sessions that have not ended: end one (routeplane cloud sessions revoke)`;
  throw limitReached(message, MAX_SESSIONS);
}

/** @throws DomainError RESOURCE_EXHAUSTED if a credential has its quota of open sign-in codes */
export function requireRoomForCode(count: number): void {
  if (count < MAX_CODES) return;
  throw limitReached(`a credential has at most ${MAX_CODES} open sign-in codes: use one, or wait a minute`, MAX_CODES);
}

function limitReached(message: string, limit: number): DomainError {
  return new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata: { limit: `${limit}` } });
}
