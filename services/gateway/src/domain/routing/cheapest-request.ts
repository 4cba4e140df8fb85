import { reservationCost } from "@routeplane/admission";
import { type Model, modelAt, type ModelDirectory, priceAt } from "../request/model-directory.ts";
import { servesWire } from "../request/model-fit.ts";
import { orderHops } from "./hop-order.ts";

/**
 * Least amount that is reserved for a request to a model that names no service tier: one token of input and, unless the model may
 * make embeddings, one of output. Nano-USD, a multiple of 1,000. While the provider of the model lacks its key, that of the cheapest
 * model in its place; undefined if there is none.
 */
export function cheapestRequestCost(directory: ModelDirectory, model: Model, moment: Date): bigint | undefined {
  const hops = model.unavailable === undefined ? [model] : orderHops(directory, model).map((hop) => hop.model);
  const costs = hops.filter(({ unavailable }) => unavailable === undefined).map((hop) => leastCost(hop, moment));
  return costs.reduce<bigint | undefined>(
    (least, cost) => (least === undefined || cost < least ? cost : least),
    undefined,
  );
}

function leastCost(model: Model, moment: Date): bigint {
  const outputTokens = servesWire(model, "embeddings") ? 0n : 1n;
  return reservationCost(priceAt(modelAt(model, moment), 1), 1n, outputTokens);
}
