import { type Change, changesOf } from "@routeplane/audit/changes";
import type { AuditEntry } from "@routeplane/contracts/audit";
import type { EntryNames } from "../audit-names.ts";
import { textColumn, timeColumn } from "../output/columns.ts";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { fromProtoRequiredTime, fromProtoText } from "./values.ts";

export interface AuditView {
  readonly id: string;
  readonly created_at: string;
  /** `api_key`, `operator`, `session` or `service`. */
  readonly actor_type: string;
  readonly actor_id: string | null;
  /** Name of a key, or `console of` the credential that opened a session; null if it is not known. */
  readonly actor_name: string | null;
  /** E.g. `key.create`. */
  readonly action: string;
  readonly target_id: string;
  /** Name of a key, a policy or a namespace; null if it is not known. */
  readonly target_name: string | null;
  readonly namespace_id: string | null;
  /** The fields that changed; null for a creation. */
  readonly before: object | null;
  /** The fields that changed; null for a deletion. */
  readonly after: object | null;
  /** Values that changed, each with its path, e.g. `spec.limit_micro_usd`. */
  readonly changes: readonly Change[];
  readonly request_id: string | null;
  readonly address: string | null;
}

/** Names of the fields of an entry, in the order of `--json` and of exports. */
export const AUDIT_FIELD_NAMES = [
  "id",
  "created_at",
  "actor_type",
  "actor_id",
  "actor_name",
  "action",
  "target_id",
  "target_name",
  "namespace_id",
  "before",
  "after",
  "changes",
  "request_id",
  "address",
] as const satisfies readonly (keyof AuditView)[];

export function fromProtoAuditEntry(entry: AuditEntry, names: EntryNames): AuditView {
  return {
    id: entry.id,
    created_at: fromProtoRequiredTime(entry.createdAt),
    actor_type: entry.actorType,
    actor_id: fromProtoText(entry.actorId),
    actor_name: names.of(entry.actorId),
    action: entry.action,
    target_id: entry.targetId,
    target_name: names.of(entry.targetId),
    namespace_id: fromProtoText(entry.namespaceId),
    before: entry.before ?? null,
    after: entry.after ?? null,
    changes: changesOf(entry.before, entry.after),
    request_id: fromProtoText(entry.requestId),
    address: fromProtoText(entry.address),
  };
}

export const AUDIT_COLUMNS: readonly Column<AuditView>[] = [
  timeColumn("TIME", "created_at"),
  { header: "ID", only: "wide", cell: ({ id }) => id },
  {
    header: "ACTOR",
    name: "actor_name",
    cell: ({ actor_type, actor_id, actor_name }) => actor_name ?? actor_id ?? actor_type,
    value: ({ actor_name }) => actor_name,
  },
  textColumn("ACTOR ID", "actor_id", { only: "wide" }),
  { header: "ACTION", cell: ({ action }) => action },
  { header: "TARGET", name: "target_name", cell: targetText, value: ({ target_name }) => target_name },
  { header: "TARGET ID", leaveOutRank: 2, cell: ({ target_id }) => target_id },
  { header: "CHANGED", name: "changes", leaveOutRank: 1, cell: changesText, value: ({ changes }) => changes },
];

function targetText({ target_id, target_name }: AuditView): string {
  return target_name ?? target_id;
}

/** Maximum length of the changes in lists, in characters. */
const MAX_CHANGES_CHARS = 100;

function changesText(entry: AuditView): string {
  const text = entry.changes.map((change) => changeText(entry, change)).join(", ");
  return text.length <= MAX_CHANGES_CHARS ? text : `${text.slice(0, MAX_CHANGES_CHARS - 1)}…`;
}

/** Text of a change, e.g. `spec.limit_micro_usd: 5 -> 9`; for a creation or a deletion, the value alone. */
function changeText({ before, after }: AuditView, { field, from, to }: Change): string {
  if (before === null) return `${field}: ${valueText(to)}`;
  if (after === null) return `${field}: ${valueText(from)}`;
  return `${field}: ${valueText(from)} -> ${valueText(to)}`;
}

function valueText(value: unknown): string {
  if (value === null) return "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Fields of one entry, with every change. */
export function auditFields(entry: AuditView): readonly (readonly [string, string])[] {
  const { actor_type, actor_id, actor_name, target_id, target_name, changes } = entry;
  const named = (name: string | null, id: string): string => (name === null ? id : `${name} (${id})`);
  return [
    ["id", entry.id],
    ["time", formatTime(entry.created_at)],
    ["actor", actor_id === null ? actor_type : `${actor_type} ${named(actor_name, actor_id)}`],
    ["action", entry.action],
    ["target", named(target_name, target_id)],
    ["namespace", entry.namespace_id ?? "-"],
    ...changes.map((change) => ["changed", changeText(entry, change)] as const),
    ["request", entry.request_id ?? "-"],
    ["address", entry.address ?? "-"],
  ];
}
