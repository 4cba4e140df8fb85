import type { Operator } from "@routeplane/contracts/auth";
import { textColumn, timeColumn } from "../output/columns.ts";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { keyStatus } from "./keys/key.ts";
import { fromProtoRequiredTime, fromProtoText, fromProtoTime } from "./values.ts";

export interface OperatorView {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: readonly string[];
  /** Id of the credential that minted it; null for the first one of the node. */
  readonly parent_id: string | null;
  /** Account that it is limited to; null if it is not limited to one. */
  readonly account_id: string | null;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  readonly revoked_reason: string | null;
}

export function fromProtoOperator(operator: Operator): OperatorView {
  return {
    id: operator.id,
    name: operator.name,
    prefix: operator.prefix,
    scopes: operator.scopes,
    parent_id: fromProtoText(operator.parentId),
    account_id: fromProtoText(operator.accountId),
    created_at: fromProtoRequiredTime(operator.createdAt),
    expires_at: fromProtoTime(operator.expiresAt),
    revoked_at: fromProtoTime(operator.revokedAt),
    revoked_reason: fromProtoText(operator.revokedReason),
  };
}

export const OPERATOR_COLUMNS: readonly Column<OperatorView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "NAME", cell: ({ name }) => name },
  { header: "PREFIX", leaveOutRank: 3, cell: ({ prefix }) => prefix },
  { header: "STATUS", cell: (operator) => keyStatus(operator, Date.now()) },
  {
    header: "ACCOUNT",
    name: "account_id",
    leaveOutRank: 4,
    cell: ({ account_id }) => account_id ?? "all",
    value: ({ account_id }) => account_id,
  },
  timeColumn("CREATED", "created_at", { leaveOutRank: 2 }),
  timeColumn("EXPIRES", "expires_at", { only: "wide" }),
  timeColumn("REVOKED", "revoked_at", { only: "wide" }),
  textColumn("MINTED BY", "parent_id", { only: "wide" }),
  { header: "SCOPES", leaveOutRank: 1, cell: ({ scopes }) => scopes.join(" ") },
];

export function operatorFields(operator: OperatorView): readonly [string, string][] {
  return [
    ["id", operator.id],
    ["name", operator.name],
    ["prefix", operator.prefix],
    ["scopes", operator.scopes.join(" ")],
    ["account", operator.account_id ?? "all of the node"],
    ["minted by", operator.parent_id ?? "the installer (the node's first)"],
    ["created", formatTime(operator.created_at)],
    ["expires", operator.expires_at === null ? "never by itself" : formatTime(operator.expires_at)],
    ["revoked", operator.revoked_at === null ? "no" : formatTime(operator.revoked_at)],
    ...(operator.revoked_reason === null ? [] : [["reason", operator.revoked_reason] as [string, string]]),
  ];
}
