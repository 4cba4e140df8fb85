import type { Session } from "@routeplane/contracts/auth";
import { textColumn, timeColumn } from "../output/columns.ts";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { keyStatus } from "./keys/key.ts";
import { fromProtoRequiredTime, fromProtoText, fromProtoTime } from "./values.ts";

export interface SessionView {
  readonly id: string;
  /** Name that its credential had when it opened the session. */
  readonly name: string;
  /** Namespace that it is bound to; null if it is in none. */
  readonly namespace_id: string | null;
  readonly namespace_name: string | null;
  /** Key that it acts as; null if it is in no namespace. */
  readonly key_id: string | null;
  /** Operator credential that opened it; null if a key did. */
  readonly operator_id: string | null;
  readonly scopes: readonly string[];
  readonly created_at: string;
  readonly expires_at: string | null;
  /** Time at which it was ended; null if it was not ended. */
  readonly revoked_at: string | null;
  /** Client address from which it was opened; null if it is not known. */
  readonly address: string | null;
}

export function fromProtoSession(session: Session): SessionView {
  return {
    id: session.id,
    name: session.name,
    namespace_id: fromProtoText(session.namespaceId),
    namespace_name: fromProtoText(session.namespaceName),
    key_id: fromProtoText(session.keyId),
    operator_id: fromProtoText(session.operatorId),
    scopes: session.scopes,
    created_at: fromProtoRequiredTime(session.createdAt),
    expires_at: fromProtoTime(session.expiresAt),
    revoked_at: fromProtoTime(session.revokedAt),
    address: fromProtoText(session.address),
  };
}

export const SESSION_COLUMNS: readonly Column<SessionView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "NAME", cell: ({ name }) => name },
  textColumn("NAMESPACE", "namespace_name", { leaveOutRank: 3 }),
  { header: "STATUS", cell: (session) => keyStatus(session, Date.now()) },
  timeColumn("OPENED", "created_at"),
  timeColumn("EXPIRES", "expires_at", { leaveOutRank: 2 }),
  textColumn("ADDRESS", "address", { leaveOutRank: 4 }),
  { header: "SCOPES", leaveOutRank: 1, cell: ({ scopes }) => scopes.join(" ") },
];

export function sessionFields(session: SessionView): readonly [string, string][] {
  return [
    ["id", session.id],
    ["name", session.name],
    ["namespace", session.namespace_name ?? "none"],
    ["acts as", session.key_id ?? session.operator_id ?? "-"],
    ["scopes", session.scopes.join(" ")],
    ["opened", formatTime(session.created_at)],
    ["expires", session.expires_at === null ? "-" : formatTime(session.expires_at)],
    ["ended", session.revoked_at === null ? "no" : formatTime(session.revoked_at)],
    ["address", session.address ?? "-"],
  ];
}
