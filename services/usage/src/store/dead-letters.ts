import { createHash } from "node:crypto";
import { newId } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { DeadLetter, DeadLetterBox, DeadLetterStore, ListedDeadLetter } from "../domain/dead-letters.ts";
import type { DeadLetterRow, UsageSchema } from "./schema.ts";

/** Number of rows in one insert: a statement takes at most 65,535 parameters, six for each row. */
const ROWS_OF_INSERT = 1_000;

/** Columns of a ListedDeadLetter. */
const LISTED_COLUMNS = [
  "id",
  "namespace_id",
  "request_id",
  "reason",
  "state",
  "created_at",
  "changed_at",
  "changed_by_id",
] as const;

export function createDeadLetterBox(database: Database<UsageSchema>): DeadLetterBox {
  return {
    async add(unrecorded) {
      const rows = unrecorded.map(({ namespaceId, requestId, reason, payload }) => ({
        namespace_id: namespaceId,
        id: newId("dl"),
        request_id: requestId,
        reason,
        payload: Buffer.from(payload),
        digest: createHash("sha256").update(payload).digest("hex"),
      }));
      if (rows.length === 0) return;
      await database.within({}, async (transaction) => {
        for (let start = 0; start < rows.length; start += ROWS_OF_INSERT) {
          await transaction
            .insertInto("dead_letters")
            .values(rows.slice(start, start + ROWS_OF_INSERT))
            .onConflict((conflict) => conflict.columns(["namespace_id", "digest"]).doNothing())
            .execute();
        }
      });
    },

    nextToReplay: () =>
      database.within({}, async (transaction) => {
        const due = transaction.selectFrom("dead_letters").selectAll().where("state", "=", "replaying");
        const row = await due.orderBy("id").limit(1).executeTakeFirst();
        return row && fromDeadLetterRow(row);
      }),

    countHeld: () =>
      database.within({}, async (transaction) => {
        const { rows } = await sql<{ held: bigint }>`
          select count(*) as held from dead_letters where state = 'held'`.execute(transaction);
        return rows[0]?.held ?? 0n;
      }),

    async endReplay(id, reason) {
      const outcome = reason === undefined ? { state: "replayed" as const } : { state: "held" as const, reason };
      await database.within({}, (transaction) =>
        transaction
          .updateTable("dead_letters")
          .set({ ...outcome, changed_at: sql`clock_timestamp()` })
          .where("id", "=", id)
          .where("state", "=", "replaying")
          .execute(),
      );
    },
  };
}

/** Opens the dead letters for operators. Row-level security shows them only to transactions of the whole node. */
export function createDeadLetterStore(database: Database<UsageSchema>): DeadLetterStore {
  const node = { node: true } as const;
  return {
    list: ({ size, before, state }) =>
      database.within(node, async (transaction) => {
        let page = transaction.selectFrom("dead_letters").select(LISTED_COLUMNS);
        if (before !== undefined) page = page.where("id", "<", before);
        if (state !== undefined) page = page.where("state", "=", state);
        const rows = await page
          .orderBy("id", "desc")
          .limit(size + 1)
          .execute();
        return rows.map(fromListedRow);
      }),

    get: (id) =>
      database.within(node, async (transaction) => {
        const row = await transaction.selectFrom("dead_letters").selectAll().where("id", "=", id).executeTakeFirst();
        return row && fromDeadLetterRow(row);
      }),

    move: (id, from, state, byId) =>
      database.within(node, async (transaction) => {
        const row = await transaction
          .updateTable("dead_letters")
          .set({ state, changed_at: sql`clock_timestamp()`, changed_by_id: byId })
          .where("id", "=", id)
          .where("state", "in", from)
          .returningAll()
          .executeTakeFirst();
        return row && fromDeadLetterRow(row);
      }),
  };
}

function fromDeadLetterRow(row: DeadLetterRow): DeadLetter {
  return { ...fromListedRow(row), payload: row.payload };
}

function fromListedRow(row: Pick<DeadLetterRow, (typeof LISTED_COLUMNS)[number]>): ListedDeadLetter {
  return {
    id: row.id,
    namespaceId: row.namespace_id,
    requestId: row.request_id,
    reason: row.reason,
    state: row.state,
    createdAt: row.created_at,
    changedAt: row.changed_at ?? undefined,
    changedById: row.changed_by_id,
  };
}
