import { toJson } from "@bufbuild/protobuf";
import { UsageEventBatchSchema } from "@routeplane/contracts/events";
import { type DeadLetter, DeadLetterState } from "@routeplane/contracts/usage";
import { textColumn, timeColumn } from "../../output/columns.ts";
import type { Column } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { fromProtoRequiredTime, fromProtoText, fromProtoTime } from "../values.ts";

export interface DeadLetterView {
  readonly id: string;
  /** `held`, `replaying`, `replayed` or `discarded`. */
  readonly state: string;
  readonly reason: string;
  readonly namespace_id: string | null;
  readonly request_id: string | null;
  readonly created_at: string;
  readonly changed_at: string | null;
  readonly changed_by: string | null;
}

export interface DeadLetterInFullView extends DeadLetterView {
  /** Event batch as ProtoJSON; null if it cannot be read. */
  readonly content: unknown;
  readonly payload_base64: string;
}

export function fromProtoDeadLetter(letter: DeadLetter): DeadLetterView {
  return {
    id: letter.id,
    state: (DeadLetterState[letter.state] ?? "unknown").toLowerCase(),
    reason: letter.reason,
    namespace_id: fromProtoText(letter.namespaceId),
    request_id: fromProtoText(letter.requestId),
    created_at: fromProtoRequiredTime(letter.createdAt),
    changed_at: fromProtoTime(letter.changedAt),
    changed_by: fromProtoText(letter.changedBy),
  };
}

export function fromProtoDeadLetterInFull(letter: DeadLetter): DeadLetterInFullView {
  const { content, payload } = letter;
  return {
    ...fromProtoDeadLetter(letter),
    content: content === undefined ? null : toReadableJson(content),
    payload_base64: Buffer.from(payload).toString("base64"),
  };
}

/** Event batch as ProtoJSON; null if it has none, e.g. because of a time out of range. */
function toReadableJson(content: NonNullable<DeadLetter["content"]>): unknown {
  try {
    return toJson(UsageEventBatchSchema, content);
  } catch {
    return null;
  }
}

export const DEAD_LETTER_COLUMNS: readonly Column<DeadLetterView>[] = [
  timeColumn("TIME", "created_at"),
  { header: "ID", cell: ({ id }) => id },
  { header: "STATE", cell: ({ state }) => state },
  textColumn("NAMESPACE", "namespace_id", { leaveOutRank: 1 }),
  textColumn("REQUEST", "request_id", { leaveOutRank: 2 }),
  timeColumn("CHANGED", "changed_at", { only: "wide" }),
  textColumn("CHANGED BY", "changed_by", { only: "wide" }),
  { header: "REASON", cell: ({ reason }) => reason },
];

export function deadLetterFields(letter: DeadLetterView): readonly (readonly [string, string])[] {
  const { changed_at, changed_by } = letter;
  return [
    ["id", letter.id],
    ["state", letter.state],
    ["reason", letter.reason],
    ["namespace", letter.namespace_id ?? "-"],
    ["request", letter.request_id ?? "-"],
    ["set aside", formatTime(letter.created_at)],
    [
      "changed",
      changed_at === null ? "-" : `${formatTime(changed_at)}${changed_by === null ? "" : ` by ${changed_by}`}`,
    ],
  ];
}
