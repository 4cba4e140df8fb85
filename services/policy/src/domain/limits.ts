import { DomainError } from "@routeplane/domain";

/** How many there may be. They bound what one request has to be held against, and what one change touches. */
export const MAX_POLICIES_OF_NAMESPACE = 1_000;
export const MAX_BINDINGS_OF_PRINCIPAL = 100;
export const MAX_BINDINGS_OF_POLICY = 1_000;

/** @throws DomainError RESOURCE_EXHAUSTED if there are `limit` already */
export function requireRoom(count: number, limit: number, what: string): void {
  if (count < limit) return;
  throw new DomainError("resource_exhausted", "LIMIT_REACHED", `${what} at most ${limit}, and there are as many`, {
    metadata: { limit: String(limit) },
  });
}
