import type { Key } from "@routeplane/contracts/auth";
import { textColumn, timeColumn } from "../../output/columns.ts";
import type { Column } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { fromProtoRequiredTime, fromProtoText, fromProtoTime } from "../values.ts";

export interface KeyView {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: readonly string[];
  /** Null for a root key. */
  readonly parent_id: string | null;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
  readonly revoked_at: string | null;
  readonly revoked_reason: string | null;
}

export function fromProtoKey(key: Key): KeyView {
  return {
    id: key.id,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    parent_id: fromProtoText(key.parentId),
    created_at: fromProtoRequiredTime(key.createdAt),
    expires_at: fromProtoTime(key.expiresAt),
    last_used_at: fromProtoTime(key.lastUsedAt),
    revoked_at: fromProtoTime(key.revokedAt),
    revoked_reason: fromProtoText(key.revokedReason),
  };
}

export const KEY_COLUMNS: readonly Column<KeyView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "NAME", cell: ({ name }) => name },
  { header: "PREFIX", leaveOutRank: 3, cell: ({ prefix }) => prefix },
  { header: "STATUS", cell: (key) => keyStatus(key, Date.now()) },
  timeColumn("CREATED", "created_at", { leaveOutRank: 2 }),
  timeColumn("EXPIRES", "expires_at", { only: "wide" }),
  timeColumn("LAST USED", "last_used_at", { only: "wide" }),
  timeColumn("REVOKED", "revoked_at", { only: "wide" }),
  textColumn("PARENT", "parent_id", { only: "wide" }),
  { header: "SCOPES", leaveOutRank: 1, cell: ({ scopes }) => scopes.join(" ") },
];

export function keyFields(key: KeyView): readonly [string, string][] {
  return [
    ["id", key.id],
    ["name", key.name],
    ["prefix", key.prefix],
    ["scopes", key.scopes.join(" ")],
    ["parent", key.parent_id ?? "none (a root key)"],
    ["created", formatTime(key.created_at)],
    ["expires", key.expires_at === null ? "never by itself" : formatTime(key.expires_at)],
    ["last used", key.last_used_at === null ? "never" : formatTime(key.last_used_at)],
    ["revoked", key.revoked_at === null ? "no" : formatTime(key.revoked_at)],
    ...(key.revoked_reason === null ? [] : [["reason", key.revoked_reason] as [string, string]]),
  ];
}

/** Status of the key alone, without the keys above it: if one of those is revoked or expired, the key is refused too. */
export function keyStatus(
  { revoked_at, expires_at }: Pick<KeyView, "revoked_at" | "expires_at">,
  nowMs: number,
): "active" | "revoked" | "expired" {
  if (revoked_at !== null) return "revoked";
  return expires_at !== null && Date.parse(expires_at) <= nowMs ? "expired" : "active";
}
