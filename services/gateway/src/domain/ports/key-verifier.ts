import type { DomainError, Id } from "@routeplane/domain";

/** Authenticated party of a call. */
export type Caller =
  | {
      readonly kind: "key";
      readonly keyId: Id<"key">;
      readonly namespaceId: Id<"ns">;
      /** Scopes in effect now. */
      readonly scopes: readonly string[];
      /** Ancestors and the key itself, from the root key down. */
      readonly lineage: readonly Id<"key">[];
      /** Session that acts as the key; undefined for a token of the key. */
      readonly sessionId?: Id<"ses"> | undefined;
    }
  | { readonly kind: "operator"; readonly sessionId?: Id<"ses"> | undefined }
  | { readonly kind: "service" };

/** Key that makes a call. */
export type CallingKey = Extract<Caller, { kind: "key" }>;

/** Finds the caller that a token stands for. @throws DomainError UNAUTHENTICATED for a bad token, UNAVAILABLE without an answer */
export type VerifyKey = (token: string) => Promise<Caller>;

/**
 * Verifies a token and subscribes to its verification result. `listener` is called with the new caller, or with the error for
 * which the token is refused, each time the result may have changed, until `release` is called. Without a promise while the result
 * is cached.
 *
 * @throws DomainError as `VerifyKey`; then there is no subscription
 */
export type SubscribeToKey = (
  token: string,
  listener: (result: Caller | DomainError) => void,
) => KeySubscription | Promise<KeySubscription>;

/** Subscription to the verification result of a token. */
export interface KeySubscription {
  readonly principal: Caller;
  readonly release: () => void;
}
