import { type Id, idTime } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import { NO_FILTER, type PageRequest, type RequestFilter, type UsageStore } from "../domain/ports.ts";
import {
  fromListedRow,
  fromRequestRow,
  fromSessionRow,
  LISTED_COLUMNS,
  type ListedRow,
  SESSION_COLUMNS,
} from "./request-columns.ts";
import type { UsageSchema } from "./schema.ts";
import { sumUsage } from "./usage-sums.ts";

export function createUsageStore(database: Database<UsageSchema>): UsageStore {
  return {
    sumUsage: (namespaceId, query) => sumUsage(database, namespaceId, query),

    sumNodeUsage: (query) => sumUsage(database, undefined, query),

    async list(namespaceId, page) {
      const rows = await listNewestFirst(database, namespaceId, { ...page, size: page.size + 1 });
      return { rows: rows.slice(0, page.size).map(fromListedRow), hasMore: rows.length > page.size };
    },

    async get(namespaceId, id) {
      const row = await findById(database, namespaceId, id);
      return row && fromRequestRow(row);
    },

    async listByIds(namespaceId, ids) {
      const rows = await database.read({ namespaceId }, (builder) =>
        builder
          .selectFrom("requests")
          .select(LISTED_COLUMNS)
          .where("namespace_id", "=", namespaceId)
          .where("id", "=", sql<Id<"req">>`any(${ids})`)
          .compile(),
      );
      return rows.map(fromListedRow);
    },

    async listOfSession(namespaceId, sessionId, { size, before, range: { from, to } }) {
      const rows = await database.read({ namespaceId }, (builder) =>
        builder
          .selectFrom("requests")
          .select(SESSION_COLUMNS)
          .where("namespace_id", "=", namespaceId)
          .where("session_id", "=", sessionId)
          .where(sql<boolean>`${conditions({ before, filter: { ...NO_FILTER, from, to } })}`)
          .orderBy("created_at", "desc")
          .orderBy("id", "desc")
          .limit(size + 1)
          .compile(),
      );
      return { rows: rows.slice(0, size).map(fromSessionRow), hasMore: rows.length > size };
    },

    nextNamespace: ({ from, to }, after) =>
      database.within({ node: true }, async (transaction) => {
        const { rows } = await sql<{ next: Id<"ns"> | null }>`
          select next_request_namespace(${after ?? ""}, ${from}, ${to}) as next`.execute(transaction);
        return rows[0]?.next ?? undefined;
      }),

    endPosition: () =>
      database.within({}, async (transaction) => ({ transaction: await finishedBelow(transaction), id: undefined })),

    listEnded: (namespaceId, { after, size, filter }) =>
      database.within({ namespaceId }, async (transaction) => {
        // Read first, so that requests that end while the rows are read are left for the next call.
        const below = await finishedBelow(transaction);
        if (below < after.transaction) return { rows: [], next: after };
        const rows = await transaction
          .selectFrom("requests")
          .select([...LISTED_COLUMNS, "ended_tx"])
          .where("namespace_id", "=", namespaceId)
          .where(sql<boolean>`(ended_tx, id) > (${String(after.transaction)}::xid8, ${after.id ?? ""})`)
          .where(sql<boolean>`ended_tx < ${String(below)}::xid8`)
          .where(sql<boolean>`${sql.join(filterConditions(filter), sql` and `)}`)
          .orderBy("ended_tx")
          .orderBy("id")
          .limit(size)
          .execute();
        const last = rows.length === size ? rows.at(-1) : undefined;
        const next = last
          ? { transaction: BigInt(last.ended_tx ?? 0), id: last.id }
          : { transaction: below, id: undefined };
        return { rows: rows.map(fromListedRow), next };
      }),
  };
}

/** Maximum difference between the time in an id and the arrival of its request: an id is made when its request arrives. */
const ID_MARGIN_MS = 60 * 60 * 1000;

/** Finds a request by its id: first around the time of the id, mostly in one partition, then at all other times. */
async function findById(database: Database<UsageSchema>, namespaceId: Id<"ns">, id: Id<"req">) {
  const time = idTime(id);
  const [from, to] = [new Date(time - ID_MARGIN_MS), new Date(time + ID_MARGIN_MS)];
  const read = (condition: RawBuilder<boolean>) =>
    database.read({ namespaceId }, (builder) =>
      builder
        .selectFrom("requests")
        .selectAll()
        .where("namespace_id", "=", namespaceId)
        .where("id", "=", id)
        .where(condition)
        .compile(),
    );
  const [near] = await read(sql`created_at >= ${from} and created_at < ${to}`);
  if (near !== undefined) return near;
  const [other] = await read(sql`(created_at < ${from} or created_at >= ${to})`);
  return other;
}

/** Range in which most pages end. */
const NEAR_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Reads the week before the start of the page first, and older requests only if that is not enough: a statement is planned for
 * every partition that it can touch, which took most of its time.
 */
async function listNewestFirst(
  database: Database<UsageSchema>,
  namespaceId: Id<"ns">,
  page: PageRequest,
): Promise<readonly ListedRow[]> {
  const { before, filter } = page;
  const { from, to } = filter;
  const newestMs = Math.min(before?.createdAt.getTime() ?? Infinity, to?.getTime() ?? Infinity, Date.now());
  const near = new Date(newestMs - NEAR_MS);
  const read = ({ size, ...page }: PageRequest) =>
    database.read({ namespaceId }, (builder) =>
      builder
        .selectFrom("requests")
        .select(LISTED_COLUMNS)
        // Row-level security adds the same condition; this one lets Postgres use the index.
        .where("namespace_id", "=", namespaceId)
        .where(sql<boolean>`${conditions(page)}`)
        .orderBy("created_at", "desc")
        .orderBy("id", "desc")
        .limit(size)
        .compile(),
    );
  if (from !== undefined && from >= near) return read(page);
  const rows = await read({ ...page, filter: { ...filter, from: near } });
  if (rows.length === page.size) return rows;
  const older = await read({ ...page, size: page.size - rows.length, filter: { ...filter, to: near } });
  return [...rows, ...older];
}

/** Returns an id below which every transaction has ended: its rows are visible, and it writes no more. */
async function finishedBelow(transaction: Transaction<UsageSchema>): Promise<bigint> {
  const { rows } = await sql<{ xmin: string }>`select pg_snapshot_xmin(pg_current_snapshot())::text as xmin`.execute(
    transaction,
  );
  return BigInt(rows[0]?.xmin ?? 0);
}

function conditions({ before, filter }: Omit<PageRequest, "size">) {
  const all = filterConditions(filter);
  // The second condition implies the first; the first lets Postgres skip partitions.
  if (before !== undefined) {
    all.push(sql`created_at <= ${before.createdAt}`, sql`(created_at, id) < (${before.createdAt}, ${before.id})`);
  }
  return sql.join(all, sql` and `);
}

/** Lists the conditions of a filter, at least one. */
function filterConditions({
  keyId,
  model,
  provider,
  status,
  from,
  to,
  exceptStatus,
}: RequestFilter): RawBuilder<unknown>[] {
  const all: RawBuilder<unknown>[] = [sql`true`];
  if (keyId !== undefined) all.push(sql`key_id = ${keyId}`);
  if (model !== undefined) all.push(sql`model = ${model}`);
  if (provider !== undefined) all.push(sql`provider = ${provider}`);
  if (status !== undefined) all.push(sql`status = ${status}`);
  if (exceptStatus !== undefined) all.push(sql`status <> ${exceptStatus}`);
  if (from !== undefined) all.push(sql`created_at >= ${from}`);
  if (to !== undefined) all.push(sql`created_at < ${to}`);
  return all;
}
