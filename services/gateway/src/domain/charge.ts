import { requestCost, reservation } from "@routeplane/admission";
import { type Model, priceAt } from "./model-directory.ts";
import type { Settlement } from "./ports.ts";
import type { Relayed } from "./relay.ts";
import type { TokenBounds } from "./token-bounds.ts";

/** The most that a request of these bounds costs. Nano-USD. */
export function costBound(model: Model, { inputTokensMax, outputTokensMax }: TokenBounds): bigint {
  return reservation(priceAt(model, inputTokensMax), BigInt(inputTokensMax), BigInt(outputTokensMax));
}

export type Charge = Pick<Settlement, "promptTokens" | "completionTokens" | "costNanoUsd" | "estimated">;

/**
 * What is charged: what the upstream says it used, even beyond what was reserved; the bounds themselves if it may have
 * worked and does not say, so that what is not known is never free; nothing if it did not do the work.
 */
export function chargeFor(relayed: Pick<Relayed, "usage" | "billable">, model: Model, granted: TokenBounds): Charge {
  const { usage, billable } = relayed;
  if (usage !== undefined) {
    const { promptTokens, completionTokens } = usage;
    const price = priceAt(model, promptTokens);
    const costNanoUsd = requestCost(price, BigInt(promptTokens), BigInt(completionTokens));
    return { promptTokens, completionTokens, costNanoUsd, estimated: false };
  }
  if (!billable) return { promptTokens: 0, completionTokens: 0, costNanoUsd: 0n, estimated: false };
  const { inputTokensMax: promptTokens, outputTokensMax: completionTokens } = granted;
  return { promptTokens, completionTokens, costNanoUsd: costBound(model, granted), estimated: true };
}
