import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import type { Binding, PolicyKind } from "../domain/policy.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Every binding of a budget has a counter from the start: admissions queue for its row. */
export async function openCounter(tx: Tx, { namespaceId, id }: Binding, kind: PolicyKind): Promise<void> {
  if (kind !== "budget") return;
  const counter = { namespace_id: namespaceId, binding_id: id, reserved_nano: 0n };
  await tx.insertInto("budget_counters").values(counter).execute();
}

/** Before bindings are deleted: in the order in which admissions lock them, so that neither waits for the other. */
export async function lockCounters(tx: Tx, namespaceId: Id<"ns">, bindingIds: readonly Id<"bnd">[]): Promise<void> {
  await tx
    .selectFrom("budget_counters")
    .select("binding_id")
    .where("namespace_id", "=", namespaceId)
    .where("binding_id", "=", sql<Id<"bnd">>`any(${bindingIds})`)
    .orderBy("binding_id")
    .forUpdate()
    .execute();
}
