import type { Deployment } from "../domain/request/model-directory.ts";
import {
  createModelNames,
  fold,
  type ModelNames,
  type NamedModel,
  qualifiedName,
} from "../domain/request/model-names.ts";
import type { DeploymentReference, ModelReference, OwnRoutes, RouteSettings } from "./routes-field.ts";
import type { Field } from "./yaml-field.ts";

/** Model as it is configured, before it has a price. */
export interface RoutedModel extends NamedModel {
  readonly routes: RouteSettings;
  readonly ownRoutes: OwnRoutes;
  /** True if the model makes embeddings only. */
  readonly isEmbedding: boolean;
  /** Position in the file; undefined if the file does not name the model. */
  readonly field: Field | undefined;
}

/** Routes of a model, with their names looked up. */
export interface ModelRoutes {
  readonly deployments: readonly Deployment[] | undefined;
  readonly fallback: readonly string[] | undefined;
}

/**
 * Looks up the models that other models name.
 *
 * @param models all models, in the order of the configuration
 * @returns a function from a model of the list to its routes
 * @throws ProvidersFileError for an unknown name, one that means two models, or a model that would fall back to itself in the end
 */
export function resolveRoutes<M extends RoutedModel>(models: readonly M[]): (model: M) => ModelRoutes {
  const names = createModelNames(models);
  requireDistinctAliases(models);
  const resolved = new Map(models.map((model) => [model, routesOf(model, names)] as const));
  requireNoLoop(resolved);
  const none = { deployments: undefined, fallback: undefined };
  return (model) => {
    const { deployments, fallback } = resolved.get(model) ?? none;
    return {
      deployments: deployments?.map(({ target: { provider, id }, weight }) => ({ provider, id, weight })),
      fallback: fallback?.map(({ target }) => qualifiedName(target)),
    };
  };
}

/** Model that another one names. */
interface Target<M> {
  readonly target: M;
  readonly field: Field;
}

interface ResolvedRoutes<M> {
  readonly deployments: readonly { readonly target: M; readonly weight: number }[] | undefined;
  readonly fallback: readonly Target<M>[] | undefined;
}

function routesOf<M extends RoutedModel>(model: M, names: ModelNames<M>): ResolvedRoutes<M> {
  const { fallback = [], isFallbackOfProvider } = model.routes;
  const { deployments, weight } = model.ownRoutes;
  const others = deployments.map((reference) => deploymentOf(model, reference, names));
  requireDistinct(others);
  const named = fallback.map((reference) => fallbackOf(reference, names));
  const targets = isFallbackOfProvider
    ? named.filter(({ target }) => target !== model && isSameKind(model, target))
    : named;
  for (const { target, field } of targets) requireSameKind(model, target, field);
  requireDistinct(targets);
  return {
    deployments: others.length === 0 ? undefined : [{ target: model, weight }, ...others],
    fallback: targets.length === 0 ? undefined : targets,
  };
}

function deploymentOf<M extends RoutedModel>(
  model: M,
  { provider, id, weight, field }: DeploymentReference,
  names: ModelNames<M>,
): Target<M> & { readonly weight: number } {
  const target = names.findServed(provider, id);
  if (target === undefined) throw field.fault(`there is no model ${JSON.stringify(`${provider}/${id}`)}`);
  if (target === model) throw field.fault("is the model itself: its own share is weight, beside deployments");
  requireSameKind(model, target, field);
  return { target, weight, field };
}

function fallbackOf<M extends RoutedModel>({ name, field }: ModelReference, names: ModelNames<M>): Target<M> {
  const target = names.find(name);
  if (target === undefined) throw field.fault(`there is no model ${JSON.stringify(name)}`);
  return { target, field };
}

function isSameKind(model: RoutedModel, target: RoutedModel): boolean {
  return model.isEmbedding === target.isEmbedding;
}

function requireSameKind(model: RoutedModel, target: RoutedModel, field: Field): void {
  if (!isSameKind(model, target)) throw field.fault("cannot serve its requests: one of the two makes embeddings only");
}

function requireDistinct<M extends RoutedModel>(targets: readonly Target<M>[]): void {
  const seen = new Set<M>();
  for (const { target, field } of targets) {
    if (seen.has(target)) throw field.fault(`${JSON.stringify(qualifiedName(target))} is given twice`);
    seen.add(target);
  }
}

/** @throws ProvidersFileError for an alias that already means another model that the file names. Ids of the catalogue give way to it. */
function requireDistinctAliases(models: readonly RoutedModel[]): void {
  const taken = new Map<string, RoutedModel>();
  for (const model of models) {
    taken.set(fold(qualifiedName(model)), model);
    if (model.field !== undefined) taken.set(fold(model.id), model);
  }
  for (const model of models) {
    for (const { name, field } of model.ownRoutes.aliases) {
      const other = taken.get(fold(name));
      if (other !== undefined && other !== model)
        throw field.fault(`${JSON.stringify(name)} is ${qualifiedName(other)}`);
      taken.set(fold(name), model);
    }
  }
}

/** Bound of the models of a loop in an error. */
const MAX_SHOWN = 6;

/** @throws ProvidersFileError at the reference that closes a loop */
function requireNoLoop<M extends RoutedModel>(resolved: ReadonlyMap<M, ResolvedRoutes<M>>): void {
  const done = new Set<M>();
  for (const start of resolved.keys()) {
    // Depth first, without recursion: a file may chain thousands of models.
    const path: { readonly model: M; readonly rest: Iterator<Target<M>> }[] = [];
    const onPath = new Set<M>();
    const enter = (model: M): void => {
      path.push({ model, rest: (resolved.get(model)?.fallback ?? [])[Symbol.iterator]() });
      onPath.add(model);
    };
    if (!done.has(start)) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { done: isLast, value: next } = top.rest.next();
      if (isLast === true) {
        path.pop();
        onPath.delete(top.model);
        done.add(top.model);
      } else if (onPath.has(next.target)) {
        const loop = [...path.slice(path.findIndex(({ model }) => model === next.target)), { model: next.target }];
        const shown = loop.slice(0, MAX_SHOWN).map(({ model }) => qualifiedName(model));
        throw next.field.fault(`falls back in a loop: ${shown.join(" -> ")}`);
      } else if (!done.has(next.target)) enter(next.target);
    }
  }
}
