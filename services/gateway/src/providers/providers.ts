import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { ConfigurationError } from "@routeplane/runtime";
import type { Model, UnknownPrices } from "../domain/request/model-directory.ts";
import { NO_MEMBER_RULES } from "../domain/request/member-rules.ts";
import { tokenizerOf } from "../domain/tokens/model-families.ts";
import type { OpenAiUpstreamOptions } from "../upstreams/openai-upstream.ts";
import {
  createValues,
  type DescribedUpstream,
  readKey,
  readUpstream,
  USABLE_KEY,
  type Values,
} from "./upstream-settings.ts";
import { NO_CALL_SETTINGS } from "./call-settings-field.ts";
import { type Catalogue, catalogueOf } from "./catalogue.ts";
import {
  catalogueModel,
  flatPrice,
  modelOf,
  requirePriceWithinBounds,
  type UnpricedModel,
  unpricedModel,
} from "./model-prices.ts";
import { priceOf } from "./price.ts";
import { apiDefaultsOf, defaultOutputTokensOf } from "./provider-defaults.ts";
import { NO_REQUEST_SETTINGS } from "./request-settings-field.ts";
import { type ModelEntry, parseProvidersFile, type ProviderEntry } from "./providers-file.ts";

/** Provider as it is served. */
export interface Provider {
  readonly name: string;
  /** Address and settings of the upstream; `echo` for the one within the process. */
  readonly upstream: "echo" | OpenAiUpstreamOptions;
  /** Values that must not leave the process but to the upstream. */
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
  /** Treatment of models without a known price, unless the file says otherwise; `charge` by default. */
  readonly unknownPrices?: UnknownPrices;
  /** Returns the value of an environment variable that the file names. */
  readonly variable: (name: string) => string | undefined;
  /** Reads a file with a key or another secret; as it is by default. @throws SecretFault */
  readonly readKeyFile?: (path: string) => string;
}

const OPENAI_URL = "https://api.openai.com/v1";
const MAX_FILE_BYTES = 1024 ** 2;

/**
 * Loads the providers, in the order of the file, then OpenAI, then echo.
 *
 * @throws ConfigurationError that names the position of the fault
 */
export function loadProviders(sources: ProviderSources): readonly Provider[] {
  const { file, echo, openAiApiKey, unknownPrices = "charge", variable, readKeyFile } = sources;
  const text = file === undefined ? undefined : readText(file, "ROUTEPLANE_PROVIDERS");
  const entries = file === undefined || text === undefined ? [] : parseProvidersFile(file, text, unknownPrices);
  const providers = entries.map((entry) => toProvider(entry, createValues(dirname(file ?? ""), variable, readKeyFile)));
  if (openAiApiKey !== undefined && !entries.some(({ name }) => name === "openai")) {
    providers.push(openAi(openAiApiKey, unknownPrices, createValues("", variable)));
  }
  if (!echo) return providers;
  const namedEcho = entries.find(({ name }) => name === "echo");
  if (namedEcho !== undefined)
    throw namedEcho.field.required("name").fault("is the built-in provider's: ROUTEPLANE_ECHO is on");
  return [...providers, ECHO];
}

const ECHO: Provider = {
  name: "echo",
  upstream: "echo",
  secrets: [],
  models: [modelOf({ provider: "echo", id: "echo", outputField: "max_tokens" }, "built-in", flatPrice(priceOf(1, 2)))],
  unpriced: [],
  findPriced: () => undefined,
};

function openAi(apiKey: string, unknownPrices: UnknownPrices, values: Values): Provider {
  if (!USABLE_KEY.test(apiKey)) throw new ConfigurationError("OPENAI_API_KEY: must be printable and without blanks");
  const catalogue = catalogueOf("openai", OPENAI_URL);
  const baseUrl = new URL(OPENAI_URL);
  const unset = { memberRules: NO_MEMBER_RULES, requests: NO_REQUEST_SETTINGS, calls: NO_CALL_SETTINGS };
  const own = { price: undefined, unknownPrices, field: undefined };
  const models = catalogue.chatModels.map((id) => ({ id, ...own, ...unset }));
  return createProvider(
    { name: "openai", baseUrl, apiKey, apiKeyHeader: undefined, ...unset, models, catalogue },
    values,
  );
}

function toProvider(entry: ProviderEntry, values: Values): Provider {
  const { name, baseUrl, field, memberRules, requests, calls, unknownPrices } = entry;
  const catalogue = catalogueOf(name, baseUrl.href);
  const ofProvider = { price: undefined, memberRules, requests, calls, unknownPrices, field };
  const models = entry.models ?? catalogue.chatModels.map((id) => ({ id, ...ofProvider }));
  if (models.length === 0) throw field.fault("models: is required, because the catalogue does not know this provider");
  return createProvider({ ...entry, apiKey: readKey(entry, values), models, catalogue }, values);
}

/** Provider with its key, its models and their public prices. */
interface DescribedProvider extends DescribedUpstream {
  readonly name: string;
  readonly models: readonly ModelEntry[];
  readonly catalogue: Catalogue;
}

function createProvider(provider: DescribedProvider, values: Values): Provider {
  const { name, baseUrl, models, catalogue } = provider;
  const priced = models.map((entry) => {
    const { id, memberRules, requests, field } = entry;
    const model = { provider: name, id, memberRules, ...requestSettingsOf(id, baseUrl, requests) };
    return requirePriceWithinBounds(pricedModel(model, entry, catalogue), field);
  });
  return {
    name,
    ...readUpstream(provider, values),
    models: priced,
    unpriced: priced.filter(({ priceVersion }) => priceVersion.startsWith("default:")).map(({ id }) => id),
    findPriced(id) {
      const known = catalogue.pricesOf(id);
      return known && catalogueModel({ provider: name, id, ...requestSettingsOf(id, baseUrl) }, known, "charge");
    },
  };
}

/** Adds the price of the file to a model, else that of the catalogue, else the default one for want of both. */
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
