import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { ConfigurationError } from "@routeplane/runtime";
import type { Model, UnknownPrices } from "../domain/request/model-directory.ts";
import { NO_MEMBER_RULES } from "../domain/request/member-rules.ts";
import { servesWire } from "../domain/request/model-fit.ts";
import { tokenizerOf } from "../domain/tokens/model-families.ts";
import type { HttpUpstreamOptions } from "../upstreams/http-upstream.ts";
import {
  createValues,
  type DescribedUpstream,
  type ProviderKey,
  readKey,
  readUpstream,
  USABLE_KEY,
  type Values,
} from "./upstream-settings.ts";
import { NO_CALL_SETTINGS } from "./call-settings-field.ts";
import { type Catalogue, catalogueOf } from "./catalogue.ts";
import { factsOf } from "./known-models.ts";
import { NO_MODEL_FACTS, type Protocol } from "./model-facts-field.ts";
import {
  catalogueModel,
  flatPrice,
  modelOf,
  requirePriceWithinBounds,
  type UnpricedModel,
  unpricedModel,
} from "./model-prices.ts";
import { type ModelRoutes, resolveRoutes, type RoutedModel } from "./model-routes.ts";
import { priceOf } from "./price.ts";
import { apiDefaultsOf, defaultOutputTokensOf } from "./provider-defaults.ts";
import { NO_REQUEST_SETTINGS } from "./request-settings-field.ts";
import { type ModelEntry, parseProvidersFile, type ProviderEntry, type SharedSettings } from "./providers-file.ts";
import { NO_OWN_ROUTES, NO_ROUTE_SETTINGS } from "./routes-field.ts";

/** Provider as it is served. */
export interface Provider {
  readonly name: string;
  /** Wire that its upstream speaks. */
  readonly protocol: Protocol;
  /** Address and settings of the upstream; `echo` for the one within the process. */
  readonly upstream: "echo" | HttpUpstreamOptions;
  /** Values that may leave the process only to the upstream. */
  readonly secrets: readonly string[];
  readonly models: readonly Model[];
  /** Ids of the models whose price is not known: charged at `UNKNOWN_PRICE`, or refused. */
  readonly unpriced: readonly string[];
  /** Returns a model that is not served, at the catalogue's price; undefined if the catalogue has none. */
  findPriced(id: string): Model | undefined;
}

export interface ProviderSources {
  /** Path of the providers file; undefined if there is none. */
  readonly file: string | undefined;
  /** True if the model `echo` is offered. */
  readonly echo: boolean;
  /** Key that switches OpenAI on, unless the file describes a provider of that name. */
  readonly openAiApiKey: string | undefined;
  /** Key that switches Anthropic on, unless the file describes a provider of that name. */
  readonly anthropicApiKey?: string | undefined;
  /** Treatment of models without a known price, unless the file says otherwise; `charge` by default. */
  readonly unknownPrices?: UnknownPrices;
  /** Returns the value of an environment variable that the file names. */
  readonly variable: (name: string) => string | undefined;
  /** Reads a file with a key or another secret; as it is by default. @throws SecretFault */
  readonly readKeyFile?: (path: string) => string;
}

const MAX_FILE_BYTES = 1024 ** 2;

/**
 * Loads the providers, in the order of the file, then OpenAI, then Anthropic, then echo.
 *
 * @throws ConfigurationError that names the position of the fault
 */
export function loadProviders(sources: ProviderSources): readonly Provider[] {
  const { file, echo, unknownPrices = "charge", variable, readKeyFile } = sources;
  const text = file === undefined ? undefined : readText(file, "ROUTEPLANE_PROVIDERS");
  const entries = file === undefined || text === undefined ? [] : parseProvidersFile(file, text, unknownPrices);
  const values = createValues(dirname(file ?? ""), variable, readKeyFile);
  const described = [
    ...entries.map((entry) => describeEntry(entry, values)),
    ...switchedOn({ ...sources, unknownPrices }, (name) => entries.some((entry) => entry.name === name)),
  ];
  const known = described.map(withKnownModels);
  const routesOf = resolveRoutes(known.flatMap(({ models }) => models));
  const providers = known.map((provider) => createProvider(provider, routesOf, values));
  if (!echo) return providers;
  const namedEcho = entries.find(({ name }) => name === "echo");
  if (namedEcho !== undefined)
    throw namedEcho.field.required("name").fault("is the built-in provider's: ROUTEPLANE_ECHO is on");
  return [...providers, ECHO];
}

const ECHO: Provider = {
  name: "echo",
  protocol: "openai",
  upstream: "echo",
  secrets: [],
  models: [modelOf({ provider: "echo", id: "echo", outputField: "max_tokens" }, "built-in", flatPrice(priceOf(1, 2)))],
  unpriced: [],
  findPriced: () => undefined,
};

/** Provider with its key, its models and their public prices. */
interface DescribedProvider extends DescribedUpstream, ProviderKey {
  readonly name: string;
  readonly models: readonly ModelEntry[];
  readonly catalogue: Catalogue;
}

const NO_SETTINGS: Omit<SharedSettings, "unknownPrices"> = {
  memberRules: NO_MEMBER_RULES,
  requests: NO_REQUEST_SETTINGS,
  calls: NO_CALL_SETTINGS,
  facts: NO_MODEL_FACTS,
  routes: NO_ROUTE_SETTINGS,
};

/** Describes the providers that a key in the environment switches on, with the models of the catalogue. */
function switchedOn(
  { openAiApiKey, anthropicApiKey, unknownPrices = "charge" }: ProviderSources,
  isInFile: (name: string) => boolean,
): readonly DescribedProvider[] {
  const known = [
    { name: "openai", protocol: "openai", url: "https://api.openai.com/v1", apiKey: openAiApiKey },
    { name: "anthropic", protocol: "anthropic", url: "https://api.anthropic.com/v1", apiKey: anthropicApiKey },
  ] as const;
  return known.flatMap(({ name, protocol, url, apiKey }) => {
    if (apiKey === undefined || isInFile(name)) return [];
    if (!USABLE_KEY.test(apiKey))
      throw new ConfigurationError(`${name.toUpperCase()}_API_KEY: must be printable and without blanks`);
    const catalogue = catalogueOf(name, url);
    const own = { price: undefined, ownRoutes: NO_OWN_ROUTES, field: undefined, unknownPrices, ...NO_SETTINGS };
    const models = catalogue.modelIds.map((id) => ({ id, ...own }));
    const key = { apiKey, missingVariable: undefined, apiKeyHeader: undefined };
    return [{ name, protocol, baseUrl: new URL(url), ...key, calls: NO_CALL_SETTINGS, models, catalogue }];
  });
}

function describeEntry(entry: ProviderEntry, values: Values): DescribedProvider {
  const { name, baseUrl, field } = entry;
  const catalogue = catalogueOf(name, baseUrl.href);
  const { memberRules, requests, calls, facts, routes, unknownPrices } = entry;
  const shared = { memberRules, requests, calls, facts, routes, unknownPrices };
  const ofProvider = { price: undefined, ownRoutes: NO_OWN_ROUTES, field: undefined, ...shared };
  const models = entry.models ?? catalogue.modelIds.map((id) => ({ id, ...ofProvider }));
  if (models.length === 0) throw field.fault("models: is required, because the catalogue does not know this provider");
  return { ...entry, ...readKey(entry, values), models, catalogue };
}

/** Model with the names and facts by which others refer to it. */
interface KnownModel extends ModelEntry, RoutedModel {
  readonly known: ReturnType<typeof factsOf>;
}

interface KnownProvider extends DescribedProvider {
  readonly models: readonly KnownModel[];
}

function withKnownModels(provider: DescribedProvider): KnownProvider {
  const models = provider.models.map((entry): KnownModel => {
    const known = factsOf({ ...provider, ...entry });
    const aliases = entry.ownRoutes.aliases.map(({ name }) => name);
    return { ...entry, provider: provider.name, aliases, known, isEmbedding: !servesWire(known, "chat") };
  });
  return { ...provider, models };
}

function createProvider(
  provider: KnownProvider,
  routesOf: (model: KnownModel) => ModelRoutes,
  values: Values,
): Provider {
  const { name, protocol, baseUrl, models, catalogue, missingVariable: variable } = provider;
  const unavailable = variable === undefined ? undefined : { variable };
  const priced = models.map((entry) => {
    const { id, memberRules, requests, field } = entry;
    const model = {
      provider: name,
      id,
      aliases: entry.aliases,
      memberRules,
      unavailable,
      ...entry.known,
      ...routesOf(entry),
      retries: entry.routes.retries,
      ...requestSettingsOf(id, baseUrl, requests),
    };
    return requirePriceWithinBounds(pricedModel(model, entry, catalogue), field);
  });
  return {
    name,
    protocol,
    ...readUpstream(provider, values),
    models: priced,
    unpriced: priced.filter(({ priceVersion }) => priceVersion.startsWith("default:")).map(({ id }) => id),
    findPriced(id) {
      const known = catalogue.pricesOf(id);
      return known && catalogueModel({ provider: name, id, ...requestSettingsOf(id, baseUrl) }, known, "charge");
    },
  };
}

/** Adds the price of the file to a model, else that of the catalogue, else the default one. */
function pricedModel(model: UnpricedModel, { id, price, unknownPrices }: ModelEntry, catalogue: Catalogue): Model {
  if (price !== undefined) return modelOf(model, "file", price);
  const known = catalogue.pricesOf(id);
  return known === undefined ? unpricedModel(model, unknownPrices) : catalogueModel(model, known, unknownPrices);
}

/** Settings of requests to a model: those of the file, else by what is known of the provider and the model. */
function requestSettingsOf(id: string, baseUrl: URL, settings = NO_REQUEST_SETTINGS) {
  const known = apiDefaultsOf(baseUrl);
  return {
    outputField: settings.outputField ?? known.outputField,
    renamesOutputField: settings.outputField !== undefined || known.isOutputFieldKnown,
    defaultOutputTokens: settings.defaultOutputTokens ?? defaultOutputTokensOf(id),
    usageInStreams: settings.usageInStreams,
    tokenizer: settings.tokenizer ?? tokenizerOf(id),
  };
}

function readText(path: string, name: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "error";
    throw new ConfigurationError(`${name}: ${path} cannot be read (${code})`);
  }
  if (bytes.length > MAX_FILE_BYTES) throw new ConfigurationError(`${name}: ${path} is larger than 1 MiB`);
  return bytes.toString("utf8");
}
