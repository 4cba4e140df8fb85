import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { AuditEntrySchema, type AuditFilter } from "@routeplane/contracts/audit";
import { invalidField, parseId } from "@routeplane/domain";
import type { Scope } from "@routeplane/postgres";
import {
  credentialPrincipalOf,
  fromPageToken,
  fromTimeRange,
  MAX_PAGE_BYTES,
  toProtoPage,
  toTimestamp,
} from "@routeplane/rpc";
import { type AuditAction, actionNames } from "./actions.ts";
import type { AuditRow, AuditStore } from "./store.ts";

/** Request of every service's ListAuditEntries. */
interface ListRequest {
  readonly filter?: AuditFilter | undefined;
  readonly pageSize: number;
  readonly pageToken: string;
}

const DEFAULT_PAGE_SIZE = 25;
const LIST = "audit-entries";

/**
 * Implementation of AuditService for any service: the messages of all services have the same shape.
 *
 * @param actions actions of the service's log
 */
export function auditService(store: AuditStore, actions: readonly AuditAction[]) {
  const knownActions = actionNames(actions);
  return {
    async listAuditEntries({ filter, pageSize, pageToken }: ListRequest, context: HandlerContext) {
      if (filter?.action && !knownActions.includes(filter.action)) {
        throw invalidField("filter.action", `must be one that this log has: ${knownActions.join(" ")}`);
      }
      const size = pageSize || DEFAULT_PAGE_SIZE;
      const id = filter?.id ? parseId("aud", filter.id) : undefined;
      if (filter?.id && id === undefined) return { entries: [], nextPageToken: "" };
      const page = await store.list(scopeOf(context), {
        id,
        actorId: filter?.actorId || undefined,
        action: filter?.action || undefined,
        targetId: filter?.targetId || undefined,
        namespaceId: filter?.namespaceId || undefined,
        ...fromTimeRange(filter),
        before: fromPageToken(LIST, pageToken, (id) => parseId("aud", id)),
        size,
        maxBytes: MAX_PAGE_BYTES,
      });
      const { messages: entries, nextPageToken } = toProtoPage(page, {
        list: LIST,
        schema: AuditEntrySchema,
        toProto: toProtoEntry,
        positionOf: ({ id }) => id,
      });
      return { entries, nextPageToken };
    },
  };
}

/** Rows that the caller can see: for a key, those of its namespace; for an operator, those of the node or of its account. */
function scopeOf(context: HandlerContext): Scope {
  const principal = credentialPrincipalOf(context);
  if (principal.kind === "key") return { namespaceId: principal.namespaceId };
  return principal.accountId === undefined ? { node: true } : { accountId: principal.accountId };
}

function toProtoEntry(row: AuditRow): MessageInitShape<typeof AuditEntrySchema> {
  return {
    id: row.id,
    createdAt: toTimestamp(row.created_at),
    actorType: row.actor_type,
    actorId: row.actor_id,
    action: row.action,
    targetId: row.target_id,
    namespaceId: row.namespace_id,
    ...(row.before && { before: row.before as JsonObject }),
    ...(row.after && { after: row.after as JsonObject }),
    requestId: row.request_id,
    address: row.address,
  };
}
