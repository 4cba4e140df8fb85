import type { LimitJson } from "@routeplane/policy-spec";

/** Key as it may know itself. */
export interface OwnKey {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  /** Scopes that it holds now: the intersection with those of every key above it. */
  readonly scopes: readonly string[];
  /** Undefined for a root key. */
  readonly parentId: string | undefined;
  readonly namespaceId: string;
  readonly createdAt: Date;
  /** First moment at which the token in use is refused; undefined if it never is. */
  readonly expiresAt: Date | undefined;
  /** Every limit that applies to it, with its current use. */
  readonly limits: readonly LimitJson[];
}

/** Client that asks about its own key. */
export interface KeyOwner {
  readonly token: string;
  /** IP address from which it connected. */
  readonly address: string;
}

/**
 * Reads the key of a client, on its own authority.
 *
 * @throws DomainError UNAUTHENTICATED if it is not valid any more; RESOURCE_EXHAUSTED if it asks too often; UNAVAILABLE
 */
export type ReadOwnKey = (owner: KeyOwner) => Promise<OwnKey>;
