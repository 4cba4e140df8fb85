import { formatCount } from "../output/money.ts";
import type { Column } from "../output/table.ts";
import type { ServedModel } from "../served-models.ts";

/** Prices of tokens, in pico-USD each: 1,000,000 is 1 USD per million tokens. */
interface ModelPriceView {
  readonly input_pico_usd: number;
  readonly output_pico_usd: number;
  readonly request_pico_usd: number;
}

export interface ModelView {
  /** Name to call it by. */
  readonly id: string;
  readonly provider: string;
  /** `available` or `unavailable`. */
  readonly status: string;
  /** Largest number of tokens of a request and its answer; null if it is not known. */
  readonly context_tokens: number | null;
  /** Capabilities by name: true if the model has it, false if not; absent if not known. */
  readonly capabilities: Readonly<Record<string, boolean>>;
  /** Price of a short input at the default service tier, with separate rates for parts of tokens; null if the node returns none. */
  readonly price: ModelPriceView | null;
  /** Minimum that is reserved for a request: one token of input, and one of output if it must have any; null if the node returns none. */
  readonly cheapest_request_micro_usd: number | null;
}

export function fromServedModel({
  id,
  owned_by,
  status,
  context_tokens,
  capabilities,
  price,
  cheapest_request_micro_usd,
}: ServedModel): ModelView {
  const known = Object.entries(capabilities ?? {}).filter((entry): entry is [string, boolean] => {
    return typeof entry[1] === "boolean";
  });
  return {
    id,
    provider: owned_by,
    status: status === "unavailable" ? "unavailable" : "available",
    context_tokens: typeof context_tokens === "number" ? context_tokens : null,
    capabilities: Object.fromEntries(known),
    price: priceOf(price),
    cheapest_request_micro_usd: amountOf(cheapest_request_micro_usd),
  };
}

/** Amount in an answer; null unless it is a whole number >= 0. */
function amountOf(value: unknown): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

function priceOf(value: unknown): ModelPriceView | null {
  const rates = Object.entries(value ?? {}).filter(
    ([name, rate]) => name.endsWith("_pico_usd") && amountOf(rate) !== null,
  );
  const price: Partial<ModelPriceView> = Object.fromEntries(rates);
  const { input_pico_usd, output_pico_usd, request_pico_usd } = price;
  if (input_pico_usd === undefined || output_pico_usd === undefined || request_pico_usd === undefined) return null;
  return { ...price, input_pico_usd, output_pico_usd, request_pico_usd };
}

const PICO_USD_PER_TOKEN_IN_USD_PER_MTOK = 1e6;

/** Column of a rate in USD per million tokens. */
function rateColumn(
  header: string,
  rate: "input_pico_usd" | "output_pico_usd",
  leaveOutRank: number,
): Column<ModelView> {
  return {
    header,
    leaveOutRank,
    right: true,
    name: rate,
    cell: ({ price }) => (price === null ? "" : `$${price[rate] / PICO_USD_PER_TOKEN_IN_USD_PER_MTOK}`),
    value: ({ price }) => price?.[rate] ?? null,
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
  rateColumn("IN/MTOK", "input_pico_usd", 4),
  rateColumn("OUT/MTOK", "output_pico_usd", 5),
];
