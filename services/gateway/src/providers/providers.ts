import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { TokenPrice } from "@routeplane/admission";
import { redactTokens } from "@routeplane/credentials";
import { ConfigurationError } from "@routeplane/runtime";
import type { Model } from "../domain/request/model-directory.ts";
import { SecretRedactor } from "../domain/response/secret-redactor.ts";
import { type Catalogue, catalogueOf, type Prices } from "./catalogue.ts";
import { NO_MEMBER_RULES } from "./member-rules-field.ts";
import { priceOf, priceVersion, UNKNOWN_PRICE } from "./price.ts";
import { type ModelEntry, parseProvidersFile, type ProviderEntry } from "./providers-file.ts";

/** Provider as it is served. */
export interface Provider {
  readonly name: string;
  /** Address and key of the upstream; `echo` for the one within the process. */
  readonly upstream: "echo" | { readonly baseUrl: URL; readonly apiKey: string | undefined };
  readonly models: readonly Model[];
  /** Ids of the models that are charged at `UNKNOWN_PRICE`. */
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
  /** Returns the value of an environment variable that the file names. */
  readonly variable: (name: string) => string | undefined;
}

const OPENAI_URL = "https://api.openai.com/v1";
const MAX_FILE_BYTES = 1024 ** 2;
/** Matches a key that can be sent in a header as it is. */
const USABLE_KEY = /^[\x21-\x7e]{1,4096}$/;

/**
 * Loads the providers, in the order of the file, then OpenAI, then echo.
 *
 * @throws ConfigurationError that names the position of the fault
 */
export function loadProviders({ file, echo, openAiApiKey, variable }: ProviderSources): readonly Provider[] {
  const entries = file === undefined ? [] : parseProvidersFile(file, readText(file, "ROUTEPLANE_PROVIDERS"));
  const providers = entries.map((entry) => toProvider(entry, file ?? "", variable));
  if (openAiApiKey !== undefined && !entries.some(({ name }) => name === "openai")) {
    providers.push(openAi(openAiApiKey));
  }
  if (!echo) return providers;
  const namedEcho = entries.find(({ name }) => name === "echo");
  if (namedEcho !== undefined)
    throw namedEcho.field.required("name").fault("is the built-in provider's: ROUTEPLANE_ECHO is on");
  return [...providers, ECHO];
}

const ECHO_PRICES = [{ aboveInputTokens: 0, price: priceOf(1, 2) }] as const;

const ECHO: Provider = {
  name: "echo",
  upstream: "echo",
  models: [
    {
      provider: "echo",
      id: "echo",
      prices: ECHO_PRICES,
      priceVersion: priceVersion("built-in", ECHO_PRICES),
      outputField: "max_tokens",
    },
  ],
  unpriced: [],
  findPriced: () => undefined,
};

function openAi(apiKey: string): Provider {
  if (!USABLE_KEY.test(apiKey)) throw new ConfigurationError("OPENAI_API_KEY: must be printable and without blanks");
  const catalogue = catalogueOf("openai", OPENAI_URL);
  const baseUrl = new URL(OPENAI_URL);
  const models = catalogue.chatModels.map((id) => ({ id, price: undefined, memberRules: NO_MEMBER_RULES }));
  return createProvider("openai", baseUrl, apiKey, models, catalogue);
}

function toProvider(entry: ProviderEntry, file: string, variable: ProviderSources["variable"]): Provider {
  const { name, baseUrl, field, memberRules } = entry;
  const catalogue = catalogueOf(name, baseUrl.href);
  const models = entry.models ?? catalogue.chatModels.map((id) => ({ id, price: undefined, memberRules }));
  if (models.length === 0) throw field.fault("models: is required, because the catalogue does not know this provider");
  return createProvider(name, baseUrl, readKey(entry, file, variable), models, catalogue);
}

function createProvider(
  name: string,
  baseUrl: URL,
  apiKey: string | undefined,
  models: readonly ModelEntry[],
  catalogue: Catalogue,
): Provider {
  // OpenAI's reasoning models refuse the older name; most others know only that.
  const outputField = baseUrl.hostname.endsWith(".openai.com") ? "max_completion_tokens" : "max_tokens";
  const described = models.map(({ id, price: own, memberRules }) => {
    const model = { id, memberRules };
    if (own !== undefined) return { ...model, source: "file", prices: flatPrice(own) } as const;
    const known = catalogue.pricesOf(id);
    if (known !== undefined) return { ...model, source: "catalogue", prices: known } as const;
    return { ...model, source: "default", prices: flatPrice(UNKNOWN_PRICE) } as const;
  });
  return {
    name,
    upstream: { baseUrl, apiKey },
    models: described.map(({ id, memberRules, source, prices }) => ({
      provider: name,
      id,
      prices,
      priceVersion: priceVersion(source, prices, memberRules.surcharges),
      outputField,
      memberRules,
    })),
    unpriced: described.filter(({ source }) => source === "default").map(({ id }) => id),
    findPriced(id) {
      const prices = catalogue.pricesOf(id);
      return prices && { provider: name, id, prices, priceVersion: priceVersion("catalogue", prices), outputField };
    },
  };
}

function flatPrice(price: TokenPrice): Prices {
  return [{ aboveInputTokens: 0, price }];
}

/** Reads a provider's key; undefined if it has none. Faults never repeat the key. */
function readKey(
  { apiKeyEnv, apiKeyFile }: ProviderEntry,
  file: string,
  variable: ProviderSources["variable"],
): string | undefined {
  if (apiKeyEnv !== undefined) {
    const key = variable(apiKeyEnv.value)?.trim();
    if (!key) throw apiKeyEnv.field.fault(`the environment variable ${apiKeyEnv.value} is not set`);
    if (!USABLE_KEY.test(key)) throw apiKeyEnv.field.fault("the key must be printable and without blanks");
    return key;
  }
  if (apiKeyFile === undefined) return undefined;
  const path = resolve(dirname(file), apiKeyFile.value);
  let key: string;
  try {
    key = readFileSync(path, "utf8").trim();
  } catch (error) {
    throw apiKeyFile.field.fault(`cannot be read (${(error as NodeJS.ErrnoException).code ?? "error"})`);
  }
  if (!USABLE_KEY.test(key)) throw apiKeyFile.field.fault("must hold one key, printable and without blanks");
  return key;
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

export interface Redaction {
  /** Redactor of the providers' keys. */
  readonly secrets: SecretRedactor;
  /** Replaces the providers' keys and tokens of this product in a text that the gateway writes: a log line or an error. */
  readonly text: (text: string) => string;
}

export function createRedaction(providers: readonly Provider[]): Redaction {
  const keys = providers.flatMap(({ upstream }) => (upstream === "echo" ? [] : (upstream.apiKey ?? [])));
  const secrets = new SecretRedactor(keys);
  return { secrets, text: (text) => secrets.text(redactTokens(text)) };
}
