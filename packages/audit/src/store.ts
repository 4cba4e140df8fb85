import type { Id } from "@routeplane/domain";
import type { Database, Scope, Transaction } from "@routeplane/postgres";
import type { Selectable } from "kysely";

/** Table that `auditLog` creates. */
export interface AuditSchema {
  readonly audit_entries: {
    namespace_id: string;
    id: Id<"aud">;
    account_id: string;
    created_at: Date;
    actor_type: string;
    actor_id: string;
    action: string;
    target_id: string;
    before: Record<string, unknown> | null;
    after: Record<string, unknown> | null;
    request_id: string;
    address: string;
  };
}

export type AuditRow = Selectable<AuditSchema["audit_entries"]>;

/** Filters of a page; an undefined one does not filter. */
export interface AuditQuery {
  readonly id: Id<"aud"> | undefined;
  readonly actorId: string | undefined;
  readonly action: string | undefined;
  readonly targetId: string | undefined;
  readonly namespaceId: string | undefined;
  readonly from: Date | undefined;
  readonly to: Date | undefined;
  /** Id of the entry that the page starts after; undefined for the newest page. */
  readonly before: Id<"aud"> | undefined;
  readonly size: number;
  /** Size of the recorded values after which no further entries are read, in characters of JSON. */
  readonly maxBytes: number;
}

export interface AuditStore {
  /** Reads entries in the scope, newest first: at most `size`, and fewer if they are large. */
  list(scope: Scope, query: AuditQuery): Promise<{ readonly rows: readonly AuditRow[]; readonly hasMore: boolean }>;
}

/** Number of entries that are read at a time. An entry can have 600 KiB: a guardrail before and after an update. */
const BATCH_ROWS = 32;

/** @param database database of a schema that has an audit log */
export function createAuditStore(database: Pick<Database<AuditSchema>, "within">): AuditStore {
  return {
    list: (scope, query) =>
      database.within(scope, async (tx) => {
        const { before, size, maxBytes } = query;
        const rows: AuditRow[] = [];
        for (let bytes = 0; bytes <= maxBytes;) {
          const wanted = Math.min(size + 1 - rows.length, BATCH_ROWS);
          const batch = await entriesOf(tx, { ...query, before: rows.at(-1)?.id ?? before })
            .limit(wanted)
            .execute();
          rows.push(...batch);
          if (batch.length < wanted) return { rows, hasMore: false };
          if (rows.length > size) return { rows: rows.slice(0, size), hasMore: true };
          bytes += JSON.stringify(batch.map((row) => [row.before, row.after])).length;
        }
        return { rows, hasMore: true };
      }),
  };
}

function entriesOf(
  tx: Transaction<AuditSchema>,
  { id, actorId, action, targetId, namespaceId, from, to, before }: AuditQuery,
) {
  let query = tx.selectFrom("audit_entries").selectAll();
  if (id !== undefined) query = query.where("id", "=", id);
  if (actorId !== undefined) query = query.where("actor_id", "=", actorId);
  if (action !== undefined) query = query.where("action", "=", action);
  if (targetId !== undefined) query = query.where("target_id", "=", targetId);
  if (namespaceId !== undefined) query = query.where("namespace_id", "=", namespaceId);
  if (from !== undefined) query = query.where("created_at", ">=", from);
  if (to !== undefined) query = query.where("created_at", "<", to);
  if (before !== undefined) query = query.where("id", "<", before);
  return query.orderBy("id", "desc");
}
