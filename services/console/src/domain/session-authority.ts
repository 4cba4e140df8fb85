import type { Session } from "./session.ts";

export type NamespaceState = "active" | "suspended" | "deleted";

/** Current state of a session, from the service that minted it. */
export interface SessionIdentity {
  /** `namespace`: one namespace with the scopes of a key; `operator`: the node as an operator credential sees it. */
  readonly kind: "namespace" | "operator";
  /** Name of the namespace; empty without a namespace, and in one that is not active. */
  readonly namespaceName: string;
  /** State of the namespace. Unless it is active, the session holds no scopes and can only be exchanged. */
  readonly namespaceState: NamespaceState;
  readonly scopes: readonly string[];
}

/** Proof for a sign-in: a sign-in code, or the token of a key or an operator credential. */
export type SignInProof = { readonly code: string } | { readonly token: string };

/** Client of a call, for the audit log. */
export interface SessionCaller {
  /** Address from which the browser connected; empty if unknown. */
  readonly address: string;
}

/**
 * Service that mints and verifies session credentials. Every method throws DomainError: UNAUTHENTICATED for a proof or session that is
 * refused, UNAVAILABLE if the service does not answer.
 */
export interface SessionAuthority {
  open(proof: SignInProof, caller: SessionCaller): Promise<Session>;
  /** Reads the state of a session. In a namespace that is not active, a session is refused unless it can be exchanged. */
  identify(session: Pick<Session, "token" | "canSwitch">, caller: SessionCaller): Promise<SessionIdentity>;
  /**
   * Ends the session, even in a namespace that is not active, and opens one in another namespace.
   *
   * @param namespace name or id; empty: the operator view
   */
  exchange(token: string, namespace: string, caller: SessionCaller): Promise<Session>;
  /** Ends the session. In a namespace that is not active, one that cannot be exchanged is refused, and ends by its expiry. */
  end(token: string, caller: SessionCaller): Promise<void>;
}
