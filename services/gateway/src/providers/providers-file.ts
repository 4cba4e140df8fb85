import { LineCounter, parseDocument } from "yaml";
import type { MemberRules, UnknownPrices } from "../domain/request/model-directory.ts";
import {
  CALL_FIELDS,
  type CallSettings,
  readCallSettings,
  readHeaderName,
  readVariableName,
} from "./call-settings-field.ts";
import { MEMBER_FIELDS, readMemberRules } from "./member-rules-field.ts";
import { FACT_FIELDS, type ModelFacts, type Protocol, readModelFacts } from "./model-facts-field.ts";
import { type FilePrice, readPrice } from "./price-field.ts";
import { readRequestSettings, REQUEST_FIELDS, type RequestSettings } from "./request-settings-field.ts";
import {
  OWN_ROUTE_FIELDS,
  type OwnRoutes,
  readOwnRoutes,
  readRouteSettings,
  ROUTE_FIELDS,
  type RouteSettings,
} from "./routes-field.ts";
import { type Field, ProvidersFileError, rootField } from "./yaml-field.ts";

/** Provider as the file describes it. */
export interface ProviderEntry extends SharedSettings {
  readonly name: string;
  readonly protocol: Protocol;
  readonly baseUrl: URL;
  /** Environment variable that holds its key; at most one of `apiKeyEnv` and `apiKeyFile` is given. */
  readonly apiKeyEnv: { readonly value: string; readonly field: Field } | undefined;
  /** File that holds its key, relative to the providers file. */
  readonly apiKeyFile: { readonly value: string; readonly field: Field } | undefined;
  /** Header that carries its key, in lower case; undefined for the usual one of the provider. */
  readonly apiKeyHeader: string | undefined;
  /** Models to serve; undefined for those of the catalogue. */
  readonly models: readonly ModelEntry[] | undefined;
  /** Position in the file, for faults that are found later. */
  readonly field: Field;
}

/** Settings of a model, else those of its provider; of a provider, those of its models that come from the catalogue. */
export interface SharedSettings {
  /** Rules of the model, followed by those of its provider. */
  readonly memberRules: MemberRules;
  readonly requests: RequestSettings;
  readonly calls: CallSettings;
  readonly facts: ModelFacts;
  readonly routes: RouteSettings;
  readonly unknownPrices: UnknownPrices;
}

export interface ModelEntry extends SharedSettings {
  readonly id: string;
  /** Price from the file; undefined for the catalogue's. */
  readonly price: FilePrice | undefined;
  readonly ownRoutes: OwnRoutes;
  /** Position in the file, for faults that are found later; undefined if the file does not name the model's provider. */
  readonly field: Field | undefined;
}

/**
 * Parses a providers file.
 *
 * @param unknownPrices treatment of models without a known price, where the file has none
 * @throws ProvidersFileError that names file, line and field
 */
export function parseProvidersFile(file: string, text: string, unknownPrices: UnknownPrices): readonly ProviderEntry[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [fault] = [...document.errors, ...document.warnings];
  if (fault !== undefined) {
    throw new ProvidersFileError(file, lines.linePos(fault.pos[0]).line, (fault.message.split("\n")[0] ?? "").trim());
  }
  const root = rootField(file, lines, document.contents);
  root.onlyMembers(["providers"]);
  const entries = root
    .required("providers")
    .items()
    .map((field) => readProvider(field, unknownPrices));
  requireDistinctNames(entries.map(({ name, field }) => ({ name, field: field.required("name") })));
  return entries;
}

const PROVIDER_FIELDS = ["name", "protocol", "base_url", "api_key_env", "api_key_file", "api_key_header", "models"];
/** Fields of a model that its provider may have too, for all its models. */
const MODEL_FIELDS = [
  ...MEMBER_FIELDS,
  ...REQUEST_FIELDS,
  ...CALL_FIELDS,
  ...FACT_FIELDS,
  ...ROUTE_FIELDS,
  "unknown_prices",
];

function readProvider(field: Field, unknownPrices: UnknownPrices): ProviderEntry {
  field.onlyMembers([...PROVIDER_FIELDS, ...MODEL_FIELDS]);
  const name = field.required("name").text(/^[a-z0-9][a-z0-9_-]{0,62}$/, "lower-case letters, digits, - and _");
  const protocol = field.required("protocol").oneOf(["openai", "anthropic"]);
  const apiKeyEnv = field.optional("api_key_env");
  const apiKeyFile = field.optional("api_key_file");
  if (apiKeyEnv !== undefined && apiKeyFile !== undefined) {
    throw apiKeyFile.fault("must not be given together with api_key_env");
  }
  const models = field.optional("models");
  const apiKeyHeader = field.optional("api_key_header");
  const hasKey = apiKeyEnv !== undefined || apiKeyFile !== undefined;
  if (apiKeyHeader !== undefined && !hasKey) throw apiKeyHeader.fault("needs api_key_env or api_key_file");
  const shared: SharedSettings = {
    memberRules: readMemberRules(field),
    requests: readRequestSettings(field, protocol),
    calls: readCallSettings(field),
    facts: readModelFacts(field, protocol),
    routes: readRouteSettings(field),
    unknownPrices: readUnknownPrices(field, unknownPrices),
  };
  const modelEntries = models?.items().map((model) => readModel(model, protocol, shared));
  if (modelEntries?.length === 0) throw models?.fault("must name at least one model, or be left out");
  return {
    name,
    protocol,
    baseUrl: readBaseUrl(field.required("base_url")),
    apiKeyEnv: apiKeyEnv && {
      value: readVariableName(apiKeyEnv),
      field: apiKeyEnv,
    },
    apiKeyFile: apiKeyFile && { value: apiKeyFile.text(/./, "a path"), field: apiKeyFile },
    apiKeyHeader: apiKeyHeader && readHeaderName(apiKeyHeader.text(/./, "the name of a header"), apiKeyHeader),
    models: modelEntries && requireDistinctNames(modelEntries),
    ...shared,
    field,
  };
}

function readUnknownPrices(field: Field, otherwise: UnknownPrices): UnknownPrices {
  return field.optional("unknown_prices")?.oneOf(["charge", "refuse"]) ?? otherwise;
}

/** Reads a base URL without credentials, query and fragment: a key in a URL ends up in logs. */
function readBaseUrl(field: Field): URL {
  const url = URL.parse(field.text(/./, "a URL"));
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.hostname === "") {
    throw field.fault("must be a URL that starts http:// or https://");
  }
  if (url.username !== "" || url.password !== "") throw field.fault("must not hold credentials; use api_key_env");
  if (url.search !== "" || url.hash !== "") throw field.fault("must not hold a query or a fragment; use query");
  return url;
}

function readModel(
  field: Field,
  protocol: Protocol,
  ofProvider: SharedSettings,
): ModelEntry & { readonly name: string; readonly field: Field } {
  field.onlyMembers(["id", "price", ...OWN_ROUTE_FIELDS, ...MODEL_FIELDS]);
  const idField = field.required("id");
  const id = idField.text(/^[^\s\p{Cc}]{1,200}$/u, "1 to 200 characters without blanks");
  const price = field.optional("price");
  return {
    id,
    price: price && readPrice(price),
    memberRules: readMemberRules(field, ofProvider.memberRules),
    requests: readRequestSettings(field, protocol, ofProvider.requests),
    calls: readCallSettings(field, ofProvider.calls),
    facts: readModelFacts(field, protocol, ofProvider.facts),
    routes: readRouteSettings(field, ofProvider.routes),
    ownRoutes: readOwnRoutes(field),
    unknownPrices: readUnknownPrices(field, ofProvider.unknownPrices),
    name: id.toLowerCase(),
    field: idField,
  };
}

/** @throws ProvidersFileError at the second of two entries with the same name */
function requireDistinctNames<T extends { readonly name: string; readonly field: Field }>(
  entries: readonly T[],
): readonly T[] {
  const seen = new Set<string>();
  for (const { name, field } of entries) {
    if (seen.has(name)) throw field.fault(`${JSON.stringify(name)} is given twice`);
    seen.add(name);
  }
  return entries;
}
