import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { TokenPrice } from "@routeplane/admission";
import { ConfigurationError } from "@routeplane/runtime";
import type { Model } from "../domain/model-directory.ts";
import { type Catalogue, catalogueOf, type Prices } from "./catalogue.ts";
import { priceVersion } from "./price-version.ts";
import { priceOf, UNKNOWN_PRICE } from "./price.ts";
import { parseProvidersFile, type ProviderEntry } from "./providers-file.ts";

/** A provider as it is served. */
export interface Provider {
  readonly name: string;
  /** `echo` is served within the process. */
  readonly upstream: "echo" | { readonly baseUrl: URL; readonly apiKey: string | undefined };
  readonly models: readonly Model[];
  /** Ids of those whose price nobody knows. */
  readonly unpriced: readonly string[];
}

export interface ProviderSources {
  /** Path of a providers file. */
  readonly file: string | undefined;
  /** Whether the model `echo` is offered. */
  readonly echo: boolean;
  /** Switches OpenAI on, unless the file describes a provider of that name itself. */
  readonly openAiApiKey: string | undefined;
  /** Value of an environment variable that the file names. */
  readonly variable: (name: string) => string | undefined;
}

const OPENAI_URL = "https://api.openai.com/v1";
const MAX_FILE_BYTES = 1024 ** 2;
/** Goes into a header as it is. */
const USABLE_KEY = /^[\x21-\x7e]{1,4096}$/;

/**
 * The providers, in the order of the file, then OpenAI, then echo.
 *
 * @throws ConfigurationError that says where the fault is
 */
export function loadProviders({ file, echo, openAiApiKey, variable }: ProviderSources): readonly Provider[] {
  const entries = file === undefined ? [] : parseProvidersFile(file, readText(file, "ROUTEPLANE_PROVIDERS"));
  const providers = entries.map((entry) => toProvider(entry, file ?? "", variable));
  if (openAiApiKey !== undefined && !entries.some(({ name }) => name === "openai")) {
    providers.push(openAi(openAiApiKey));
  }
  if (!echo) return providers;
  const taken = entries.find(({ name }) => name === "echo");
  if (taken !== undefined)
    throw taken.field.required("name").fault("is the built-in provider's: ROUTEPLANE_ECHO is on");
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
};

function openAi(apiKey: string): Provider {
  if (!USABLE_KEY.test(apiKey)) throw new ConfigurationError("OPENAI_API_KEY: must be printable and without blanks");
  const catalogue = catalogueOf("openai", OPENAI_URL);
  const baseUrl = new URL(OPENAI_URL);
  return describe("openai", baseUrl, apiKey, catalogue.chatModels, new Map(), catalogue);
}

function toProvider(entry: ProviderEntry, file: string, variable: ProviderSources["variable"]): Provider {
  const { name, baseUrl, models, field } = entry;
  const catalogue = catalogueOf(name, baseUrl.href);
  const ids = models?.map(({ id }) => id) ?? catalogue.chatModels;
  if (ids.length === 0) throw field.fault("models: is required, because the catalogue does not know this provider");
  const prices = new Map(models?.map(({ id, price }) => [id, price]));
  return describe(name, baseUrl, readKey(entry, file, variable), ids, prices, catalogue);
}

function describe(
  name: string,
  baseUrl: URL,
  apiKey: string | undefined,
  ids: readonly string[],
  prices: ReadonlyMap<string, TokenPrice | undefined>,
  catalogue: Catalogue,
): Provider {
  // OpenAI's reasoning models refuse the older name; most others know only that.
  const outputField = baseUrl.hostname.endsWith(".openai.com") ? "max_completion_tokens" : "max_tokens";
  const described = ids.map((id) => {
    const own = prices.get(id);
    if (own !== undefined) return { id, source: "file", prices: flat(own) } as const;
    const known = catalogue.pricesOf(id);
    if (known !== undefined) return { id, source: "catalogue", prices: known } as const;
    return { id, source: "default", prices: flat(UNKNOWN_PRICE) } as const;
  });
  return {
    name,
    upstream: { baseUrl, apiKey },
    models: described.map(({ id, source, prices }) => ({
      provider: name,
      id,
      prices,
      priceVersion: priceVersion(source, prices),
      outputField,
    })),
    unpriced: described.filter(({ source }) => source === "default").map(({ id }) => id),
  };
}

function flat(price: TokenPrice): Prices {
  return [{ aboveInputTokens: 0, price }];
}

/** Faults never repeat the key. */
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
