import { textColumn } from "../output/columns.ts";
import type { Column } from "../output/table.ts";

/** Context as `--json` shows it, without its key. */
export interface ContextView {
  readonly name: string;
  readonly url: string;
  /** Null if it is not known: for the home, and for an operator credential. */
  readonly namespace: { readonly id: string; readonly name: string } | null;
  readonly signed_in: boolean;
  readonly current: boolean;
}

export const CONTEXT_COLUMNS: readonly Column<ContextView>[] = [
  { header: "", only: "people", cell: ({ current }) => (current ? "*" : "") },
  textColumn("NAME", "name"),
  textColumn("NODE", "url"),
  {
    header: "NAMESPACE",
    name: "namespace",
    cell: ({ namespace }) => namespace?.name ?? "-",
    value: ({ namespace }) => namespace?.name ?? null,
  },
  {
    header: "SIGNED IN",
    name: "signed_in",
    leaveOutRank: 1,
    cell: ({ signed_in }) => (signed_in ? "yes" : "no"),
    value: ({ signed_in }) => signed_in,
  },
  { header: "CURRENT", only: "programs", cell: ({ current }) => String(current), value: ({ current }) => current },
];
