/**
 * Actions of the audit logs, `<kind>.<verb>`: the complete list of each service, from which its triggers label what they record
 * and by which its AuditService tells an unknown action. After a change of a list, a migration has to run `labelActions`.
 */

/** An action, and the update that it stands for. */
export interface AuditAction {
  readonly action: `${string}.${string}`;
  /**
   * The column whose change it is, and what it becomes: a value, none, this very text, or whatever. Without it, the action is
   * the insert or delete that its verb says, or, if that is `update`, every update that no other action stands for.
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
];

export const POLICY_ACTIONS: readonly AuditAction[] = [
  { action: "binding.create" },
  { action: "binding.delete" },
  { action: "policy.create" },
  { action: "policy.delete" },
  { action: "policy.disable", when: { column: "disabled_at", becomes: "set" } },
  { action: "policy.enable", when: { column: "disabled_at", becomes: "empty" } },
  { action: "policy.update" },
];

export const USAGE_ACTIONS: readonly AuditAction[] = [
  { action: "dead_letter.discard", when: { column: "state", becomes: { text: "discarded" } } },
  { action: "dead_letter.replay", when: { column: "state", becomes: { text: "replaying" } } },
];

/** Names of all actions of a list, in its order. */
export function actionNames(actions: readonly AuditAction[]): readonly string[] {
  return actions.map(({ action }) => action);
}
