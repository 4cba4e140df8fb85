import type { Field } from "./yaml-field.ts";

/** Routing settings as the file describes them; the names are not looked up yet. */
export interface RouteSettings {
  /** Models to which a request goes once the model has failed; undefined for none. */
  readonly fallback: readonly ModelReference[] | undefined;
  /** True if the fallback is that of the provider, for all its models that it can serve. */
  readonly isFallbackOfProvider: boolean;
  readonly retries: number | undefined;
}

/** Name of a model, with its position in the file. */
export interface ModelReference {
  readonly name: string;
  readonly field: Field;
}

/** Other model that serves a part of the requests to a model. */
export interface DeploymentReference {
  readonly provider: string;
  readonly id: string;
  readonly weight: number;
  readonly field: Field;
}

/** Settings that a model alone can have. */
export interface OwnRoutes {
  readonly aliases: readonly ModelReference[];
  readonly deployments: readonly DeploymentReference[];
  /** Share of the model itself among its deployments. */
  readonly weight: number;
}

/** Fields that a provider and a model can have. */
export const ROUTE_FIELDS = ["fallback", "retries"] as const;
/** Fields of a model alone. */
export const OWN_ROUTE_FIELDS = ["aliases", "deployments", "weight"] as const;

export const NO_ROUTE_SETTINGS: RouteSettings = {
  fallback: undefined,
  isFallbackOfProvider: true,
  retries: undefined,
};
export const NO_OWN_ROUTES: OwnRoutes = { aliases: [], deployments: [], weight: 1 };

const MAX_RETRIES = 5;
const MAX_FALLBACKS = 10;
const MAX_DEPLOYMENTS = 20;
const MAX_ALIASES = 50;
const MAX_WEIGHT = 1_000;
const NAME = /^[^\s\p{Cc}]{1,256}$/u;

/** @param ofProvider settings that apply where a model has none; an empty list cancels that of the provider */
export function readRouteSettings(field: Field, ofProvider?: RouteSettings): RouteSettings {
  const fallback = readNames(field.optional("fallback"), MAX_FALLBACKS);
  return {
    fallback: fallback ?? ofProvider?.fallback,
    isFallbackOfProvider: ofProvider === undefined || fallback === undefined,
    retries: field.optional("retries")?.integer(0, MAX_RETRIES) ?? ofProvider?.retries,
  };
}

export function readOwnRoutes(field: Field): OwnRoutes {
  const deployments = readList(field.optional("deployments"), MAX_DEPLOYMENTS)?.map(readDeployment) ?? [];
  const weight = field.optional("weight");
  if (weight !== undefined && deployments.length === 0) throw weight.fault("needs deployments");
  return {
    aliases: readNames(field.optional("aliases"), MAX_ALIASES) ?? [],
    deployments,
    weight: weight?.integer(1, MAX_WEIGHT) ?? 1,
  };
}

function readNames(list: Field | undefined, max: number): readonly ModelReference[] | undefined {
  return readList(list, max)?.map((field) => ({
    name: field.text(NAME, "the name of a model, without blanks"),
    field,
  }));
}

function readList(list: Field | undefined, max: number): readonly Field[] | undefined {
  const items = list?.items();
  if (items !== undefined && items.length > max) throw list?.fault(`must have at most ${max} items`);
  return items;
}

function readDeployment(field: Field): DeploymentReference {
  field.onlyMembers(["provider", "model", "weight"]);
  return {
    provider: field.required("provider").text(NAME, "the name of a provider"),
    id: field.required("model").text(NAME, "the id of a model, without blanks"),
    weight: field.optional("weight")?.integer(1, MAX_WEIGHT) ?? 1,
    field,
  };
}
