import { createHash } from "node:crypto";
import type { PriceStep, Surcharge } from "../domain/request/model-directory.ts";

/**
 * Who says what a model costs: the providers file, the catalogue, nobody (so a dear price stands in), or the gateway
 * itself.
 */
export type PriceSource = "file" | "catalogue" | "default" | "built-in";

const DIGEST_LENGTH = 12;

/**
 * Names the prices that a request is charged by, for its receipt, e.g. `catalogue:3f9c2a71b0de`. The digest is of the prices
 * and surcharges alone: it changes when they do, and is the same on every gateway and in every release that has the same.
 */
export function priceVersion(
  source: PriceSource,
  prices: readonly PriceStep[],
  surcharges: readonly Surcharge[] = [],
): string {
  const steps = prices.map(
    ({ aboveInputTokens, price }) => `${aboveInputTokens} ${price.inputPicoUsd} ${price.outputPicoUsd}`,
  );
  const priced = surcharges.map(
    ({ member, value, priceFactorPpm, requestPicoUsd }) =>
      `${member} ${JSON.stringify(value ?? null)} ${priceFactorPpm} ${requestPicoUsd}`,
  );
  const digest = createHash("sha256")
    .update([...steps, ...priced].join("\n"))
    .digest("hex");
  return `${source}:${digest.slice(0, DIGEST_LENGTH)}`;
}
