/**
 * Actions of the audit logs, `<kind>.<verb>`: the complete list of each service. Its triggers label entries from it, and its
 * AuditService refuses any other action. After a change of a list, a migration must run `labelActions`.
 */

/** Action and the change that it labels. */
export interface AuditAction {
  readonly action: `${string}.${string}`;
  /**
   * Column whose change is the action, and the new value: `set` (not null), `empty` (null), `changed` (any) or one text. If undefined, the
   * action is the insert or delete that its verb names or, for `update`, every update that no other action covers.
   */
  readonly when?: {
    readonly column: string;
    readonly becomes: "set" | "empty" | "changed" | { readonly text: string };
  };
}

export const AUTH_ACTIONS: readonly AuditAction[] = [
  { action: "account.create" },
  { action: "account.rename", when: { column: "name", becomes: "changed" } },
  { action: "key.create" },
  { action: "key.revoke", when: { column: "revoked_at", becomes: "set" } },
  { action: "key.rotate", when: { column: "prefix", becomes: "changed" } },
  { action: "key.update" },
  { action: "namespace.create" },
  { action: "namespace.delete", when: { column: "deleted_at", becomes: "set" } },
  { action: "namespace.rename", when: { column: "name", becomes: "changed" } },
  { action: "namespace.restore", when: { column: "deleted_at", becomes: "empty" } },
  { action: "namespace.resume", when: { column: "suspended_at", becomes: "empty" } },
  { action: "namespace.suspend", when: { column: "suspended_at", becomes: "set" } },
  { action: "operator.create" },
  { action: "operator.revoke", when: { column: "revoked_at", becomes: "set" } },
  { action: "operator.rotate", when: { column: "prefix", becomes: "changed" } },
  { action: "service_credential.create" },
  { action: "service_credential.revoke", when: { column: "revoked_at", becomes: "set" } },
  { action: "service_credential.rotate", when: { column: "prefix", becomes: "changed" } },
  { action: "session.create" },
  { action: "session.end", when: { column: "ended_by", becomes: { text: "sign_out" } } },
  { action: "session.exchange", when: { column: "ended_by", becomes: { text: "exchange" } } },
  { action: "session.revoke", when: { column: "revoked_at", becomes: "set" } },
];

export const POLICY_ACTIONS: readonly AuditAction[] = [
  { action: "binding.create" },
  { action: "binding.delete" },
  { action: "policy.create" },
  { action: "policy.delete" },
  { action: "policy.disable", when: { column: "disabled_at", becomes: "set" } },
  { action: "policy.enable", when: { column: "disabled_at", becomes: "empty" } },
  { action: "policy.update" },
  // Written by the policy service itself: an amount of a lost gateway session that is free again without a charge.
  { action: "slice.unaccounted" },
];

export const USAGE_ACTIONS: readonly AuditAction[] = [
  { action: "dead_letter.discard", when: { column: "state", becomes: { text: "discarded" } } },
  { action: "dead_letter.replay", when: { column: "state", becomes: { text: "replaying" } } },
];

/** Names of all actions of a list, in its order. */
export function actionNames(actions: readonly AuditAction[]): readonly string[] {
  return actions.map(({ action }) => action);
}
