import type { Account } from "@routeplane/contracts/auth";
import { printable } from "../output/printable.ts";
import { timeColumn } from "../output/columns.ts";
import type { Column } from "../output/table.ts";
import { fromProtoRequiredTime } from "./values.ts";

export interface AccountView {
  readonly id: string;
  readonly name: string;
  readonly created_at: string;
}

export function fromProtoAccount({ id, name, createdAt }: Account): AccountView {
  return { id, name, created_at: fromProtoRequiredTime(createdAt) };
}

/** Line for an account, e.g. `acc_01jxyz… team-a`. */
export function accountLine({ id, name }: AccountView): string {
  return printable(`${id} ${name}`);
}

export const ACCOUNT_COLUMNS: readonly Column<AccountView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "NAME", cell: ({ name }) => name },
  timeColumn("CREATED", "created_at"),
];
