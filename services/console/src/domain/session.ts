/** Session of a signed-in person, as its cookie holds it. */
export interface Session {
  /** Token of the session credential. It is stored only in the sealed cookie. */
  readonly token: string;
  /** Time from which the session is refused. */
  readonly expiresAt: Date;
  /** `ns_…`; empty for an operator session. */
  readonly namespaceId: string;
  /** Name of the credential that opened it. */
  readonly name: string;
  /** True if it can be exchanged for a session in another namespace. */
  readonly canSwitch: boolean;
}
