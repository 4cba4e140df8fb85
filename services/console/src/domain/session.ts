/** Session of a signed-in person, as its cookie holds it. */
export interface Session {
  /** Token of the session credential. Only a sealed cookie holds it. */
  readonly token: string;
  /** First moment at which the session is refused. */
  readonly expiresAt: Date;
  /** `ns_…`; empty for an operator session. */
  readonly namespaceId: string;
  /** Name of the credential that opened it. */
  readonly name: string;
  /** True if it can be exchanged for a session in another namespace. */
  readonly canSwitch: boolean;
}
