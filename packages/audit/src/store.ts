import type { Id } from "@routeplane/domain";
import type { Database, Scope } from "@routeplane/postgres";
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
}

export interface AuditStore {
  /** Entries in the scope, newest first; one more than `size` if there are more. */
  list(scope: Scope, query: AuditQuery): Promise<readonly AuditRow[]>;
}

/** @param database database of a schema that has an audit log */
export function createAuditStore(database: Pick<Database<AuditSchema>, "within">): AuditStore {
  return {
    list: (scope, { id, actorId, action, targetId, namespaceId, from, to, before, size }) =>
      database.within(scope, (tx) => {
        let query = tx.selectFrom("audit_entries").selectAll();
        if (id !== undefined) query = query.where("id", "=", id);
        if (actorId !== undefined) query = query.where("actor_id", "=", actorId);
        if (action !== undefined) query = query.where("action", "=", action);
        if (targetId !== undefined) query = query.where("target_id", "=", targetId);
        if (namespaceId !== undefined) query = query.where("namespace_id", "=", namespaceId);
        if (from !== undefined) query = query.where("created_at", ">=", from);
        if (to !== undefined) query = query.where("created_at", "<", to);
        if (before !== undefined) query = query.where("id", "<", before);
        return query
          .orderBy("id", "desc")
          .limit(size + 1)
          .execute();
      }),
  };
}
