import type { UpstreamTimeouts } from "../upstreams/http-upstream.ts";
import type { Field } from "./yaml-field.ts";

/** Fields of a provider and of a model that say how its upstream is called. */
export const CALL_FIELDS = ["headers", "query", "timeouts"] as const;

/** Settings of the calls to an upstream, as the file describes them. */
export interface CallSettings {
  /** Headers by name in lower case. */
  readonly headers: ReadonlyMap<string, ValueSource>;
  readonly query: ReadonlyMap<string, ValueSource>;
  /** Time-outs that the file gives. */
  readonly timeouts: UpstreamTimeouts;
}

/** Source of a header or query value: the file itself, a variable of the environment, or another file. */
export interface ValueSource {
  readonly from: "literal" | "env" | "file";
  /** The value; the name of the variable; the path, relative to the providers file. */
  readonly text: string;
  /** Demand on the value, in words and as a pattern. */
  readonly rule: string;
  readonly pattern: RegExp;
  readonly field: Field;
}

export const NO_CALL_SETTINGS: CallSettings = {
  headers: new Map(),
  query: new Map(),
  timeouts: {},
};

const MAX_ENTRIES = 50;
const MAX_CONNECT_MS = 60_000;
/** Bound of the time-outs of an answer: the gateway ends a request after this time, before its reservation expires. */
const MAX_ANSWER_MS = 600_000;

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/;
/** Headers of the connection, and those that the gateway sets itself because it interprets body and answer. */
const RESERVED_HEADERS = new Set([
  "host",
  "connection",
  "keep-alive",
  "upgrade",
  "http2-settings",
  "te",
  "trailer",
  "transfer-encoding",
  "content-length",
  "content-type",
  "content-encoding",
  "expect",
  "range",
  "accept",
  "accept-encoding",
]);
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?$/;
const HEADER_RULE = "1 to 4,096 printable characters, without blanks at the ends";
const QUERY_NAME = /^[\x21-\x7e]{1,100}$/;
const QUERY_VALUE = /^[^\p{Cc}]{1,1000}$/u;
const QUERY_RULE = "1 to 1,000 characters";

/**
 * @param ofProvider settings that apply where the field has none; headers and query values are merged by name.
 * @returns `ofProvider` itself if the field has none
 */
export function readCallSettings(field: Field, ofProvider = NO_CALL_SETTINGS): CallSettings {
  if (CALL_FIELDS.every((name) => field.optional(name) === undefined)) return ofProvider;
  const headers = readValues(field.optional("headers"), readHeaderName, HEADER_VALUE, HEADER_RULE);
  const query = readValues(field.optional("query"), readQueryName, QUERY_VALUE, QUERY_RULE);
  return {
    headers: new Map([...ofProvider.headers, ...headers]),
    query: new Map([...ofProvider.query, ...query]),
    timeouts: readTimeouts(field.optional("timeouts"), ofProvider.timeouts),
  };
}

/** Checks the name of a header that an operator may set. @returns it in lower case */
export function readHeaderName(name: string, field: Field): string {
  const header = name.toLowerCase();
  if (!HEADER_NAME.test(name)) throw field.fault("is not the name of a header");
  if (RESERVED_HEADERS.has(header) || header.startsWith("proxy-")) {
    throw field.fault("is a header that the gateway sets itself");
  }
  return header;
}

function readQueryName(name: string, field: Field): string {
  if (!QUERY_NAME.test(name)) throw field.fault("must have a name of 1 to 100 printable characters without blanks");
  return name;
}

function readValues(
  map: Field | undefined,
  readName: (name: string, field: Field) => string,
  pattern: RegExp,
  rule: string,
): ReadonlyMap<string, ValueSource> {
  const values = new Map<string, ValueSource>();
  const entries = map?.entries() ?? [];
  if (entries.length > MAX_ENTRIES) throw map?.fault(`must have at most ${MAX_ENTRIES} members`);
  for (const { name, field } of entries) {
    const key = readName(name, field);
    if (values.has(key)) throw field.fault("is given twice");
    values.set(key, readValue(field, pattern, rule));
  }
  return values;
}

function readValue(field: Field, pattern: RegExp, rule: string): ValueSource {
  const demand = { rule, pattern };
  if (!field.isMap()) return { from: "literal", text: field.written(pattern, rule), ...demand, field };
  field.onlyMembers(["env", "file"]);
  const [env, file] = [field.optional("env"), field.optional("file")];
  if (env !== undefined && file !== undefined) throw file.fault("must not be given together with env");
  if (env !== undefined) return { from: "env", text: readVariableName(env), ...demand, field: env };
  if (file === undefined) throw field.fault("must be a text, {env: NAME} or {file: path}");
  return { from: "file", text: file.text(/./, "a path"), ...demand, field: file };
}

/** Reads the name of a variable of the environment. */
export function readVariableName(field: Field): string {
  return field.text(/^[A-Za-z_][A-Za-z0-9_]*$/, "the name of a variable");
}

function readTimeouts(field: Field | undefined, ofProvider: UpstreamTimeouts): UpstreamTimeouts {
  if (field === undefined) return ofProvider;
  field.onlyMembers(["connect_ms", "head_ms", "idle_ms"]);
  return {
    connectMs: field.optional("connect_ms")?.integer(1, MAX_CONNECT_MS) ?? ofProvider.connectMs,
    headMs: readAnswerTimeout(field.optional("head_ms")) ?? ofProvider.headMs,
    idleMs: readAnswerTimeout(field.optional("idle_ms")) ?? ofProvider.idleMs,
  };
}

/** @throws ProvidersFileError also for one beyond the time after which a request is ended anyway: it would have no effect */
function readAnswerTimeout(field: Field | undefined): number | undefined {
  const ms = field?.integer(1, Number.MAX_SAFE_INTEGER);
  if (ms === undefined || ms <= MAX_ANSWER_MS) return ms;
  throw field?.fault(
    `must be at most ${MAX_ANSWER_MS}: a request is ended after that time, before its reservation expires`,
  );
}
