import { MAX_ATTEMPTS } from "@routeplane/domain";
import { providerKeyMissing } from "../errors/refusal.ts";
import type { Deployment, Model, ModelDirectory } from "../request/model-directory.ts";
import { weightedOrder } from "./deployment-order.ts";

/** Model in the order of the hops of a request. */
export interface OrderedModel {
  readonly model: Model;
  /** 0 for the deployments of the requested model, then one for each fallback. */
  readonly group: number;
}

/** True if requests to the model can go to another one. */
export function hasOtherHops({ deployments = [], fallback = [] }: Model): boolean {
  return deployments.length > 0 || fallback.length > 0;
}

/** @throws Refusal 503 if the providers of a model, of its deployments and of its fallbacks all lack their keys */
export function requireAvailableHop(directory: ModelDirectory, model: Model): void {
  if (model.unavailable !== undefined && !hasAvailableHop(directory, model))
    throw providerKeyMissing(model.id, model.unavailable.variable);
}

/** True if the provider of a model, of one of its deployments or of one of its fallbacks has its key. */
export function hasAvailableHop(directory: ModelDirectory, model: Model): boolean {
  const isAvailable = ({ unavailable }: Model): boolean => unavailable === undefined;
  return isAvailable(model) || orderHops(directory, model).some((hop) => isAvailable(hop.model));
}

/**
 * Orders the models that a request may go to: the deployments of the requested model, drawn by their weights, then those of each
 * of its fallbacks. Each model once, the requested one always, as many as a request can have attempts.
 *
 * @param random returns a number from 0, inclusive, to 1, exclusive
 */
export function orderHops(
  directory: ModelDirectory,
  requested: Model,
  random: () => number = Math.random,
): readonly OrderedModel[] {
  const fallbacks = (requested.fallback ?? []).map((name) => directory.find(name));
  const groups = [requested, ...fallbacks].map((model, group) =>
    deploymentsOf(directory, model, random).map((each) => ({ model: each, group })),
  );
  const byName = new Map<string, OrderedModel>();
  for (const ordered of groups.flat()) {
    const name = nameOf(ordered.model);
    if (!byName.has(name)) byName.set(name, ordered);
  }
  const all = [...byName.values()];
  const isFirst = ({ model }: OrderedModel): boolean => nameOf(model) === nameOf(requested);
  const kept = new Set(all.filter((each) => !isFirst(each)).slice(0, MAX_ATTEMPTS - 1));
  return all.filter((each) => isFirst(each) || kept.has(each));
}

function nameOf({ provider, id }: Model): string {
  return `${provider}/${id}`;
}

/** Models that share the requests to a model, in the order of one request; itself if it has no deployments. */
function deploymentsOf(directory: ModelDirectory, model: Model | undefined, random: () => number): readonly Model[] {
  if (model === undefined) return [];
  const order = weightedOrder<Deployment>(model.deployments ?? [], random);
  const found = order.map(({ provider, id }) => directory.find(`${provider}/${id}`));
  return found.length === 0 ? [model] : found.filter((each) => each !== undefined);
}
