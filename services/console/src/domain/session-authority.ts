import type { Session } from "./session.ts";

export type NamespaceState = "active" | "suspended" | "deleted";

/** State of a session as the service that minted it knows it now. */
export interface SessionIdentity {
  /** `namespace`: one namespace with the scopes of a key; `operator`: the node as an operator credential sees it. */
  readonly kind: "namespace" | "operator";
  /** Empty in no namespace, and in one that is not active. */
  readonly namespaceName: string;
  /** State of the namespace. In one that is not active the session holds nothing, and can only be exchanged. */
  readonly namespaceState: NamespaceState;
  readonly scopes: readonly string[];
}

/** Proof by which somebody signs in: a one-time code, or the token of a key or an operator credential. */
export type SignInProof = { readonly code: string } | { readonly token: string };

/** Client of a call, for the audit log. */
export interface SessionCaller {
  /** Address from which the browser connected; empty if unknown. */
  readonly address: string;
}

/**
 * The service that mints session credentials and knows what they are good for. Every method throws DomainError: UNAUTHENTICATED for
 * a proof or session that is refused, UNAVAILABLE if the service does not answer.
 */
export interface SessionAuthority {
  open(proof: SignInProof, caller: SessionCaller): Promise<Session>;
  /** A session is refused, as any other call of it, unless it can be exchanged: then it may be in a namespace that is not active. */
  identify(session: Pick<Session, "token" | "canSwitch">, caller: SessionCaller): Promise<SessionIdentity>;
  /** Ends the session, also one in a namespace that is not active, and opens one in another namespace. @param namespace name or id; empty: the operator view */
  exchange(token: string, namespace: string, caller: SessionCaller): Promise<Session>;
  end(token: string, caller: SessionCaller): Promise<void>;
}
