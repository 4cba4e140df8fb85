import type { AuditEntry } from "@routeplane/contracts/audit";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { fromProtoRequiredTime, fromProtoText } from "./values.ts";

export interface AuditView {
  readonly id: string;
  readonly created_at: string;
  /** `api_key`, `operator` or `service`. */
  readonly actor_type: string;
  readonly actor_id: string | null;
  /** E.g. `key.create`. */
  readonly action: string;
  readonly target_id: string;
  readonly namespace_id: string | null;
  /** The fields that changed; null for a creation. */
  readonly before: object | null;
  /** The fields that changed; null for a deletion. */
  readonly after: object | null;
  readonly request_id: string | null;
  readonly address: string | null;
}

export function fromProtoAuditEntry(entry: AuditEntry): AuditView {
  return {
    id: entry.id,
    created_at: fromProtoRequiredTime(entry.createdAt),
    actor_type: entry.actorType,
    actor_id: fromProtoText(entry.actorId),
    action: entry.action,
    target_id: entry.targetId,
    namespace_id: fromProtoText(entry.namespaceId),
    before: entry.before ?? null,
    after: entry.after ?? null,
    request_id: fromProtoText(entry.requestId),
    address: fromProtoText(entry.address),
  };
}

export const AUDIT_COLUMNS: readonly Column<AuditView>[] = [
  { header: "TIME", cell: ({ created_at }) => formatTime(created_at) },
  { header: "ACTOR", cell: ({ actor_type, actor_id }) => actor_id ?? actor_type },
  { header: "ACTION", cell: ({ action }) => action },
  { header: "TARGET", cell: ({ target_id }) => target_id },
  { header: "CHANGED", leaveOutRank: 1, cell: ({ before, after }) => Object.keys({ ...before, ...after }).join(" ") },
];
