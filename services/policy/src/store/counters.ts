import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Before bindings are deleted: in the order in which admissions lock them, so that neither waits for the other. */
export async function lockForDeletion(tx: Tx, namespaceId: Id<"ns">, bindingIds: readonly Id<"bnd">[]): Promise<void> {
  await tx
    .selectFrom("counters")
    .select("binding_id")
    .where("namespace_id", "=", namespaceId)
    .where("binding_id", "=", sql<Id<"bnd">>`any(${bindingIds})`)
    .orderBy("binding_id")
    .forUpdate()
    .execute();
}
