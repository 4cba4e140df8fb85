import { type Id, notFound } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import { lastOf } from "../domain/grant-rules.ts";
import { reachOf } from "../domain/namespaces/account.ts";
import type { Operator, OperatorLineage } from "../domain/operators/operator.ts";
import type { OperatorStore } from "../domain/ports.ts";
import type { Rotation } from "../domain/rotation.ts";
import type { StoredSecret } from "../domain/secret.ts";
import {
  secretsEndedBy,
  fromOperatorRow,
  toChangeableOperatorColumns,
  toOperatorRow,
  toPage,
  toSecretColumns,
} from "./convert-rows.ts";
import type { AuthSchema } from "./schema.ts";
import { endSessions, lockSessions } from "./session-rotation.ts";
import { lockOperatorToken } from "./token-lock.ts";

/**
 * Postgres store of operator credentials. Lineages are read in the whole node, because ancestors of a credential may be out of
 * the caller's reach; rows are written within that reach.
 */
export function createOperatorStore(database: Database<AuthSchema>): OperatorStore {
  return {
    add: (caller, secret, build) =>
      database.within({ node: true }, async (tx, enter) => {
        await lockOperatorToken(tx, caller);
        const parent = await selectOperatorLineage(tx, caller.operatorId);
        if (parent === undefined) throw notFound();
        const operator = build(parent);
        await enter(reachOf(caller));
        await insertOperator(tx, operator, secret);
        return operator;
      }),

    find: (reach, operatorId) =>
      database.within(reach, async (tx) => {
        const row = await tx.selectFrom("operators").selectAll().where("id", "=", operatorId).executeTakeFirst();
        return row && fromOperatorRow(row);
      }),

    list: (reach, page) =>
      database.within(reach, async (tx) => {
        const all = tx
          .selectFrom("operators")
          .selectAll()
          .orderBy("id")
          .limit(page.size + 1);
        const rows = await (page.after === undefined ? all : all.where("id", ">", page.after)).execute();
        return toPage(rows.map(fromOperatorRow), page);
      }),

    change: (caller, operatorId, decide) =>
      database.within(reachOf(caller), async (tx, enter) => {
        // Locked before it is read, so that a change sees the result of the one before it.
        const lock = tx.selectFrom("operators").select("id").where("id", "=", operatorId).forNoKeyUpdate();
        if ((await lock.executeTakeFirst()) === undefined) return undefined;
        await enter({ node: true });
        await lockOperatorToken(tx, caller);
        const lineage = await selectOperatorLineage(tx, operatorId);
        if (lineage === undefined) return undefined;
        const { operator, rotation } = decide(lineage);
        await enter(reachOf(caller));
        const opened = sql<boolean>`operator_id = ${operatorId}`;
        if (rotation?.endsAll === true) await lockSessions(tx, opened);
        // Secrets first, so that no transaction waits for a secret while it holds the lock of the change counter.
        if (rotation !== undefined) await replaceSecrets(tx, operator, rotation);
        if (rotation?.endsAll === true) await endSessions(tx, opened, rotation.graceEndsAt);
        if (operator !== lastOf(lineage)) {
          const columns = toChangeableOperatorColumns(operator);
          await tx.updateTable("operators").set(columns).where("id", "=", operatorId).execute();
        }
        return operator;
      }),
  };
}

/** Selects an operator credential and all above it that the transaction sees; undefined if it sees no such credential. */
export async function selectOperatorLineage(
  tx: Transaction<AuthSchema>,
  operatorId: Id<"op">,
): Promise<OperatorLineage | undefined> {
  const path = tx
    .selectFrom("operators")
    .select(sql<Id<"op">>`unnest(lineage)`.as("id"))
    .where("id", "=", operatorId);
  const rows = await tx
    .selectFrom("operators")
    .selectAll()
    .where("id", "in", path)
    .orderBy(sql`cardinality(lineage)`)
    .execute();
  const [first, ...below] = rows.map(fromOperatorRow);
  return first && [first, ...below];
}

export async function insertOperator(
  tx: Transaction<AuthSchema>,
  operator: Operator,
  secret: StoredSecret,
): Promise<void> {
  await tx.insertInto("operators").values(toOperatorRow(operator)).execute();
  await insertSecret(tx, operator, secret);
}

async function replaceSecrets(tx: Transaction<AuthSchema>, operator: Operator, rotation: Rotation): Promise<void> {
  const { secret, graceEndsAt } = rotation;
  await tx
    .updateTable("operator_secrets")
    .set({ expires_at: graceEndsAt })
    .where("operator_id", "=", operator.id)
    .where(secretsEndedBy(rotation))
    .execute();
  await insertSecret(tx, operator, secret);
}

async function insertSecret(tx: Transaction<AuthSchema>, operator: Operator, secret: StoredSecret): Promise<void> {
  const owner = { operator_id: operator.id, account_id: operator.accountId ?? null };
  await tx
    .insertInto("operator_secrets")
    .values({ ...owner, ...toSecretColumns(secret), expires_at: null })
    .execute();
}
