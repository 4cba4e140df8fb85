import { auditChanges } from "@routeplane/audit";
import { type Kysely, sql } from "kysely";

const ROLE = sql.id("routeplane_policy");

/**
 * All four kinds of policy. Policies and bindings can be changed and deleted; the counters of a budget's binding are deleted with
 * it.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table policies
      drop constraint policies_kind_check,
      add constraint policies_kind_check check (kind in ('guardrail', 'rate_limit', 'budget', 'preset')),
      add column version bigint not null default 1 check (version > 0)`,
    sql`alter table bindings
      add column mode text collate "C" not null default 'enforce' check (mode in ('enforce', 'shadow'))`,
    // Superseded by 0006: both tables of budgets are dropped.
    sql`alter table budget_counters
      drop constraint budget_counters_namespace_id_binding_id_fkey,
      add constraint budget_counters_namespace_id_binding_id_fkey
        foreign key (namespace_id, binding_id) references bindings (namespace_id, id) on delete cascade`,
    sql`alter table budget_buckets
      drop constraint budget_buckets_namespace_id_binding_id_fkey,
      add constraint budget_buckets_namespace_id_binding_id_fkey
        foreign key (namespace_id, binding_id) references budget_counters (namespace_id, binding_id) on delete cascade`,
    // Finds the bindings of a policy.
    sql`create index bindings_policy on bindings (namespace_id, policy_id, id)`,
    sql`grant update (name, spec, disabled_at, version), delete on policies to ${ROLE}`,
    sql`grant delete on bindings to ${ROLE}`,
    sql`drop trigger audit on bindings`,
    auditChanges("bindings", "binding", ["policy_id", "principal_type", "principal_id", "mode"]),
  ];
  for (const statement of statements) await statement.execute(db);
}
