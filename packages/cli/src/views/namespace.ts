import type { Namespace } from "@routeplane/contracts/auth";
import { timeColumn } from "../output/columns.ts";
import { printable } from "../output/printable.ts";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { fromProtoRequiredTime, fromProtoTime } from "./values.ts";

export interface NamespaceView {
  readonly id: string;
  readonly name: string;
  readonly account_id: string;
  /** True for the namespace of the credential in use. */
  readonly active: boolean;
  readonly created_at: string;
  /** Time from which all its keys are refused; null unless it is suspended. */
  readonly suspended_at: string | null;
  readonly deleted_at: string | null;
  /** Time until which it can be restored; null unless it is deleted. */
  readonly restorable_until: string | null;
}

export function fromProtoNamespace(namespace: Namespace): NamespaceView {
  const { id, name, accountId, active, createdAt, suspendedAt, deletedAt, restorableUntil } = namespace;
  return {
    id,
    name,
    account_id: accountId,
    active,
    created_at: fromProtoRequiredTime(createdAt),
    suspended_at: fromProtoTime(suspendedAt),
    deleted_at: fromProtoTime(deletedAt),
    restorable_until: fromProtoTime(restorableUntil),
  };
}

export const NAMESPACE_COLUMNS: readonly Column<NamespaceView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "NAME", cell: ({ name }) => name },
  { header: "ACTIVE", cell: ({ active }) => (active ? "yes" : "no"), value: ({ active }) => active },
  { header: "ACCOUNT", name: "account_id", cell: ({ account_id }) => account_id },
  timeColumn("CREATED", "created_at"),
  timeColumn("SUSPENDED", "suspended_at"),
  timeColumn("DELETED", "deleted_at"),
  timeColumn("RESTORABLE UNTIL", "restorable_until"),
];

/**
 * Line for a namespace, e.g. `ns_01jxyz… default (active)`.
 *
 * @param withAccount true to name its account, in a list of several
 */
export function namespaceLine(
  namespace: Pick<NamespaceView, "id" | "name"> & Partial<NamespaceView>,
  withAccount = false,
): string {
  const { id, name, account_id, active, suspended_at, deleted_at, restorable_until } = namespace;
  const marks = [
    ...(withAccount && account_id ? [`of ${account_id}`] : []),
    ...(active === true ? ["active"] : []),
    ...(suspended_at ? ["suspended"] : []),
    ...(deleted_at && restorable_until ? [`deleted, restorable until ${formatTime(restorable_until)}`] : []),
  ];
  return printable([id, name, ...marks.map((mark) => `(${mark})`)].join(" "));
}
