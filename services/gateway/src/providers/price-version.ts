import { createHash } from "node:crypto";
import type { PriceStep, Surcharge } from "../domain/request/model-directory.ts";

/** Source of a model's price: the providers file, the catalogue, `UNKNOWN_PRICE` for want of both, or the gateway itself. */
export type PriceSource = "file" | "catalogue" | "default" | "built-in";

const DIGEST_LENGTH = 12;

/**
 * Names the prices that a request is charged by, for its receipt, e.g. `catalogue:3f9c2a71b0de`. The digest covers the prices
 * and surcharges alone: it changes exactly when they do, and is equal on every gateway and in every release with equal prices.
 */
export function priceVersion(
  source: PriceSource,
  prices: readonly PriceStep[],
  surcharges: readonly Surcharge[] = [],
): string {
  const steps = prices.map(
    ({ aboveInputTokens, price }) => `${aboveInputTokens} ${price.inputPicoUsd} ${price.outputPicoUsd}`,
  );
  const additions = surcharges.map(
    ({ member, value, priceFactorPpm, requestPicoUsd }) =>
      `${member} ${JSON.stringify(value ?? null)} ${priceFactorPpm} ${requestPicoUsd}`,
  );
  const digest = createHash("sha256")
    .update([...steps, ...additions].join("\n"))
    .digest("hex");
  return `${source}:${digest.slice(0, DIGEST_LENGTH)}`;
}
