import { formatCount } from "../output/money.ts";
import type { Column } from "../output/table.ts";
import type { ServedModel } from "../served-models.ts";

export interface ModelView {
  /** Name to call it by. */
  readonly id: string;
  readonly provider: string;
  /** `available` or `unavailable`. */
  readonly status: string;
  /** Largest number of tokens of a request and its answer; null if it is not known. */
  readonly context_tokens: number | null;
  /** Capabilities of which it is known that it has them, or has not, by name. */
  readonly capabilities: Readonly<Record<string, boolean>>;
}

export function fromServedModel({ id, owned_by, status, context_tokens, capabilities }: ServedModel): ModelView {
  const known = Object.entries(capabilities ?? {}).filter((entry): entry is [string, boolean] => {
    return typeof entry[1] === "boolean";
  });
  return {
    id,
    provider: owned_by,
    status: status === "unavailable" ? "unavailable" : "available",
    context_tokens: typeof context_tokens === "number" ? context_tokens : null,
    capabilities: Object.fromEntries(known),
  };
}

export const MODEL_COLUMNS: readonly Column<ModelView>[] = [
  { header: "MODEL", name: "id", cell: ({ id }) => id },
  { header: "PROVIDER", leaveOutRank: 3, cell: ({ provider }) => provider },
  { header: "STATUS", leaveOutRank: 2, cell: ({ status }) => status },
  {
    header: "CONTEXT",
    leaveOutRank: 1,
    right: true,
    name: "context_tokens",
    cell: ({ context_tokens }) => (context_tokens === null ? "" : formatCount(context_tokens)),
    value: ({ context_tokens }) => context_tokens,
  },
];
