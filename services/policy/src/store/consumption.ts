import { oldestCountedBucket, whenBucketLeaves } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import type { Applied } from "../domain/applied-policy.ts";
import type { BudgetSpec } from "../domain/policy.ts";
import type { BudgetUse, Consumption } from "../domain/ports.ts";
import type { PolicySchema } from "./schema.ts";

interface CounterRow {
  readonly binding_id: Id<"bnd">;
  readonly reserved_nano: bigint;
  readonly spent: string;
  /** When the oldest bucket with anything in it began. */
  readonly oldest: Date | null;
}

/** Waits for no admission: what it says was so a moment ago. */
export function createConsumption(database: Database<PolicySchema>): Consumption {
  return {
    ofBudgets: (namespaceId, budgets) =>
      database.within({ namespaceId }, async (tx) => {
        const nowMs = await clockOf(tx);
        const ids = budgets.map(({ bindingId }) => bindingId);
        const since = budgets.map(({ spec }) => new Date(oldestCountedBucket(spec.window, nowMs)));
        const { rows } = await sql<CounterRow>`
          select b.id as binding_id, coalesce(c.reserved_nano, 0) as reserved_nano, k.spent, k.oldest
          from unnest(${ids}::text[], ${since}::timestamptz[]) as w (binding_id, since)
          join bindings b on b.namespace_id = ${namespaceId} and b.id = w.binding_id
          left join budget_counters c on c.namespace_id = b.namespace_id and c.binding_id = b.id
          cross join lateral (
            select coalesce(sum(spent_nano), 0)::text as spent, min(bucket_start) filter (where spent_nano > 0) as oldest
            from budget_buckets
            where namespace_id = ${namespaceId} and binding_id = w.binding_id and bucket_start >= w.since
          ) k`.execute(tx);
        const byBinding = new Map(rows.map((row) => [row.binding_id, row]));
        return new Map(
          budgets.flatMap((budget) => {
            const row = byBinding.get(budget.bindingId);
            return row === undefined ? [] : [[budget.bindingId, useOf(budget, row)] as const];
          }),
        );
      }),
  };
}

async function clockOf(tx: Transaction<PolicySchema>): Promise<number> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(tx);
  return rows[0]?.now.getTime() ?? 0;
}

function useOf({ spec }: Applied<BudgetSpec>, row: CounterRow): BudgetUse {
  const { reserved_nano: reservedNano, spent, oldest } = row;
  const leavesMs = oldest === null ? undefined : whenBucketLeaves(spec.window, oldest.getTime());
  const freesUpAt = leavesMs === undefined ? undefined : new Date(leavesMs);
  return { spentNano: BigInt(spent), reservedNano, freesUpAt };
}
