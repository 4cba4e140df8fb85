import { isObject, type JsonObject, JsonTooComplex, MAX_ANSWER_VALUES, parseJson } from "../wire/json.ts";
import { readDuration } from "../errors/retry-after.ts";
import { withoutByteOrderMark } from "../wire/sse.ts";
import { withoutOperatorDetails } from "./operator-details.ts";

/** Error of an upstream in its own words. Every text is of one line, bounded, and without what concerns the operator alone. */
export interface UpstreamWords {
  readonly message?: string;
  readonly type?: string;
  readonly param?: string;
  /** Code for machines; a number as text. */
  readonly code?: string;
  /** HTTP status that the error gives itself. */
  readonly status?: number;
  /** Wait, in seconds, that the error asks for. */
  readonly retryAfterSecs?: number;
  /** Members that the error has under `details`, such as `error_visibility` of Anthropic's. */
  readonly details?: Readonly<Record<string, string>>;
  /** All words for machines: codes, types, statuses, reasons. */
  readonly labels: readonly string[];
}

export const NO_WORDS: UpstreamWords = { labels: [] };

const MAX_MESSAGE_CHARS = 2_000;
const MAX_NAME_CHARS = 200;
/** Bound of errors within errors: lists, members, JSON in a string. */
const MAX_NESTING = 6;
/** Bound of the errors of a list that are read. */
const MAX_ERRORS = 5;
const MAX_LABELS = 50;
/** Bound of the members of details that are kept. */
const MAX_DETAILS = 10;

const MESSAGES = ["message", "msg", "error_description", "error_message", "errorMessage", "Message", "description"];
const INNER = ["error", "errors", "message", "detail", "details", "Error", "err", "fault"];
const CODES = ["code", "error_code", "errorCode", "Code"];
const TYPES = ["type", "error_type", "errorType", "__type", "status"];
const PARAMS = ["param", "field", "parameter"];
const STATUSES = ["status", "status_code", "statusCode", "http_status", "http_code", "code", "error_code"];

/** Reads the body of an error, of any shape and encoding that upstreams use. Never throws. */
export function readErrorBody(body: Buffer): UpstreamWords {
  return redacted(wordsOfText(withoutByteOrderMark(body).toString("utf8"), 0));
}

/** Reads an error that is part of a larger answer. */
export function readErrorJson(json: unknown): UpstreamWords {
  return redacted(wordsOf(json, 0));
}

/** Words for the log and the request row: the message, and the code unless the message names it. */
export function describeWords({ message, code, type }: UpstreamWords): string | undefined {
  const label = code ?? type;
  if (message === undefined) return label;
  return label === undefined || message.includes(label) ? message : `${message} (${label})`;
}

function wordsOf(value: unknown, depth: number): UpstreamWords {
  if (depth > MAX_NESTING) return NO_WORDS;
  if (typeof value === "string") return wordsOfText(value, depth);
  if (Array.isArray(value)) return wordsOfList(value, depth);
  return isObject(value) ? wordsOfObject(value, depth) : NO_WORDS;
}

/** Words of a text: JSON, the title of a page, an event of a stream, or the message itself. */
function wordsOfText(text: string, depth: number): UpstreamWords {
  const trimmed = text.trim();
  if (/^(?:null|true|false|-?\d[\d.]*)$/.test(trimmed)) return NO_WORDS;
  if (/^(?:[{[]|".*"$)/.test(trimmed)) return wordsOfJson(trimmed, depth);
  if (/^(?:event|data|error):/.test(trimmed)) {
    const data = /(?:^|\n)(?:data|error):\s*([^\r\n]+)/.exec(trimmed)?.[1];
    return data === undefined ? NO_WORDS : wordsOf(data, depth + 1);
  }
  if (trimmed.startsWith("<")) return wordsOfPage(trimmed);
  return isReadable(trimmed) ? { message: trimmed, labels: [] } : NO_WORDS;
}

function wordsOfJson(text: string, depth: number): UpstreamWords {
  try {
    return wordsOf(parseJson(text, MAX_ANSWER_VALUES), depth + 1);
  } catch (error) {
    return error instanceof JsonTooComplex ? NO_WORDS : wordsOfBrokenJson(text);
  }
}

/** Words of JSON that was truncated: the first member of each name. */
function wordsOfBrokenJson(text: string): UpstreamWords {
  const members = ["message", "msg", "detail", "error", "code", "type", "status", "param"].flatMap((name) => {
    const literal = new RegExp(`"${name}"\\s*:\\s*("(?:[^"\\\\]|\\\\.)*|\\d+)`).exec(text)?.[1];
    if (literal === undefined) return [];
    const inner = literal.startsWith('"') ? literal.slice(1).replace(/\\u([0-9a-f]{4})/gi, unescaped) : Number(literal);
    return [[name, typeof inner === "string" ? inner.replace(/\\(.)/g, "$1") : inner] as const];
  });
  return wordsOfObject(Object.fromEntries(members), MAX_NESTING);
}

function unescaped(_: string, digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 16));
}

/** Words of a page of HTML, its title alone; or of an error in XML. */
function wordsOfPage(text: string): UpstreamWords {
  const textOf = (name: string): string | undefined =>
    new RegExp(`<${name}(?:\\s[^>]{0,200})?>([^<]{1,${MAX_MESSAGE_CHARS}})<`, "i").exec(text)?.[1]?.trim();
  const message = textOf("title") ?? textOf("message");
  const code = textOf("code");
  return { ...(message && { message: withoutEntities(message) }), ...(code && { code }), labels: code ? [code] : [] };
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", "#39": "'" };

function withoutEntities(text: string): string {
  return text.replace(/&([a-z]+|#39);/g, (entity, name: string) => ENTITIES[name] ?? entity);
}

/** True unless most of the text was not UTF-8. */
function isReadable(text: string): boolean {
  const start = text.slice(0, MAX_MESSAGE_CHARS);
  return start !== "" && (start.match(/\ufffd/g)?.length ?? 0) * 5 < start.length;
}

/** Words of a list of errors: those of the first one, and the messages of all. */
function wordsOfList(list: readonly unknown[], depth: number): UpstreamWords {
  const all = list.slice(0, MAX_ERRORS).map((item) => wordsOf(item, depth + 1));
  const messages = all.flatMap(({ message }) => message ?? []);
  const merged = all.toReversed().reduce((rest, words) => merge(rest, words), NO_WORDS);
  return messages.length === 0 ? merged : { ...merged, message: messages.join("; ") };
}

function wordsOfObject(error: JsonObject, depth: number): UpstreamWords {
  const inner = innerWords(error, depth);
  const own = ownWords(error, inner.message !== undefined);
  return withAdditions(merge(own, inner), error, depth);
}

/** Words of the first member that is an error itself. */
function innerWords(error: JsonObject, depth: number): UpstreamWords {
  let words = NO_WORDS;
  for (const name of INNER) {
    const value = error[name];
    if (value === undefined || value === null || isPlainText(value)) continue;
    const found = wordsOf(value, depth + 1);
    words = merge(found, words);
    if (words.message !== undefined) return words;
  }
  if (isObject(error["errors"]) && words.message === undefined) return { ...words, ...fieldErrors(error["errors"]) };
  return words;
}

/** True for a text that is a message or code by itself, rather than an error written as JSON. */
function isPlainText(value: unknown): boolean {
  return typeof value === "string" && !/^\s*[[{]/.test(value);
}

/** Errors by the name of the field: `{"model": ["is unknown"]}`. */
function fieldErrors(errors: JsonObject): Partial<UpstreamWords> {
  const texts = Object.entries(errors)
    .slice(0, MAX_ERRORS)
    .flatMap(([field, value]) => {
      const text = Array.isArray(value) ? value.filter((each) => typeof each === "string").join(", ") : value;
      return typeof text === "string" && text !== "" ? [[field, text] as const] : [];
    });
  const [first] = texts;
  if (first === undefined) return {};
  return { message: texts.map(([field, text]) => `${field}: ${text}`).join("; "), param: first[0] };
}

function ownWords(error: JsonObject, hasInnerMessage: boolean): UpstreamWords {
  const texts = (names: readonly string[]): readonly string[] =>
    names.flatMap((name) => (typeof error[name] === "string" && error[name] !== "" ? [error[name]] : []));
  const named = texts(MESSAGES).find(isPlainText);
  const [written] = CODES.flatMap((name) => nameOf(error[name]) ?? []);
  const [type] = TYPES.flatMap((name) => nameOf(typeof error[name] === "string" ? error[name] : undefined) ?? []);
  const [param] = [...texts(PARAMS), ...locationOf(error["loc"])];
  const status = STATUSES.map((name) => Number(error[name])).find(
    (each) => Number.isInteger(each) && each >= 400 && each <= 599,
  );
  const { error: short, detail, title } = error;
  const details = [title, detail].filter(isPlainText).join(": ");
  const message = named ?? (details || (isPlainText(short) ? String(short) : undefined));
  // Next to a message, `error` is a code: {"error": "invalid_grant", "error_description": "…"}.
  const shortCode = message === short ? undefined : nameOf(short);
  const described = param !== undefined && error["loc"] !== undefined ? `${param}: ${message}` : message;
  const code = written ?? shortCode;
  const labels = [code, type, shortCode, nameOf(error["reason"]), nameOf(error["quotaId"])];
  return {
    ...(described !== undefined && !hasInnerMessage && { message: described }),
    ...(type !== undefined && error["loc"] === undefined && { type }),
    ...(param !== undefined && { param }),
    ...(code !== undefined && { code }),
    ...(status !== undefined && { status }),
    ...retryOf(error, described),
    labels: labels.filter((label) => label !== undefined),
  };
}

/** Code or type: a short word or number. URLs, as `type` of a problem document is, are none. */
function nameOf(value: unknown): string | undefined {
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  if (typeof value !== "string" || value === "" || value.length > MAX_NAME_CHARS) return undefined;
  return /[\s/]|:\/\/|^about:/.test(value) ? undefined : value;
}

/** Path of a field, as FastAPI writes it, without the `body` that it begins with. */
function locationOf(loc: unknown): readonly string[] {
  if (!Array.isArray(loc) || loc.length === 0 || loc.length > 20) return [];
  const path = loc.filter((step) => typeof step === "string" || typeof step === "number");
  return [(path[0] === "body" && path.length > 1 ? path.slice(1) : path).join(".")];
}

/** Wait that an error names: `"retryDelay": "34s"`, `retry_after`, or "try again in 1m2.5s" in its message. */
function retryOf(error: JsonObject, message: string | undefined): Pick<UpstreamWords, "retryAfterSecs"> {
  const named = error["retryDelay"] ?? error["retry_after"];
  const text = typeof named === "number" ? `${named}s` : typeof named === "string" ? named : spokenWait(message);
  const retryAfterSecs = readDuration(text ?? "");
  return retryAfterSecs === undefined ? {} : { retryAfterSecs };
}

function spokenWait(message = ""): string | undefined {
  return /\b(?:try again|retry) (?:in|after) ((?:\d+[hm])*\d+(?:\.\d+)?(?:ms|s|m))\b/i.exec(message)?.[1];
}

/** Adds what some upstreams put next to the message: the words of the provider behind a router, an inner code, details. */
function withAdditions(words: UpstreamWords, error: JsonObject, depth: number): UpstreamWords {
  const { metadata, innererror, details } = error;
  let added = words;
  if (isObject(metadata)) {
    const raw = wordsOf(metadata["raw"], depth + 1);
    const reasons = listOfTexts(metadata["reasons"]);
    added = merge(withMore(added, raw.message ?? reasons.join(", ")), raw);
    if ("flagged_input" in metadata || reasons.length > 0) added = withLabels(added, ["content_policy_violation"]);
  }
  if (isObject(innererror)) {
    const inner = wordsOf(innererror, depth + 1);
    added = withLabels(withMore(added, inner.message ?? inner.code), inner.labels);
  }
  const named = isObject(details) ? namedTexts(details) : {};
  if (Object.keys(named).length > 0) added = { ...added, details: named };
  if (Array.isArray(details)) {
    for (const detail of details.slice(0, MAX_ERRORS)) {
      const { labels, retryAfterSecs } = wordsOfDetail(detail);
      added = withLabels(retryAfterSecs === undefined ? added : { ...added, retryAfterSecs }, labels);
    }
  }
  return added;
}

/** Members that are texts under a short name. */
function namedTexts(details: JsonObject): Readonly<Record<string, string>> {
  const texts = Object.entries(details).flatMap(([name, value]) =>
    /^[a-z]\w{0,49}$/i.test(name) && typeof value === "string" ? [[name, value] as const] : [],
  );
  return Object.fromEntries(texts.slice(0, MAX_DETAILS));
}

/** Words for machines of a detail of Google's errors: the reason, the wait, the quotas that are exhausted. */
function wordsOfDetail(detail: unknown): UpstreamWords {
  if (!isObject(detail)) return NO_WORDS;
  const violations = Array.isArray(detail["violations"]) ? detail["violations"].slice(0, MAX_ERRORS) : [];
  const quotas = violations.flatMap((violation) => (isObject(violation) ? (nameOf(violation["quotaId"]) ?? []) : []));
  return withLabels(ownWords(detail, true), quotas);
}

function listOfTexts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.slice(0, MAX_ERRORS).filter((each) => typeof each === "string") : [];
}

function withMore(words: UpstreamWords, more: string | undefined): UpstreamWords {
  if (more === undefined || more === "" || words.message?.includes(more) === true) return words;
  return { ...words, message: words.message === undefined ? more : `${words.message}: ${more}` };
}

function withLabels(words: UpstreamWords, labels: readonly string[]): UpstreamWords {
  return { ...words, labels: [...words.labels, ...labels].slice(0, MAX_LABELS) };
}

/** Words of both. Those of `inner` are preferred, except for the message, where `outer` comes first; all labels are kept. */
function merge(outer: UpstreamWords, inner: UpstreamWords): UpstreamWords {
  const message = outer.message ?? inner.message;
  const labels = [...inner.labels, ...outer.labels].slice(0, MAX_LABELS);
  return { ...outer, ...inner, ...(message !== undefined && { message }), labels };
}

function redacted(words: UpstreamWords): UpstreamWords {
  const { message, type, param, code, details } = words;
  const lines = Object.entries(details ?? {}).map(([name, text]) => [name, line(text, MAX_NAME_CHARS)] as const);
  return {
    ...words,
    ...(details !== undefined && { details: Object.fromEntries(lines) }),
    ...(message !== undefined && { message: line(message, MAX_MESSAGE_CHARS) }),
    ...(type !== undefined && { type: line(type, MAX_NAME_CHARS) }),
    ...(param !== undefined && { param: line(param, MAX_NAME_CHARS) }),
    ...(code !== undefined && { code: line(code, MAX_NAME_CHARS) }),
  };
}

/** Makes a text one bounded line that is safe to print. */
function line(text: string, maxChars: number): string {
  const start = text.slice(0, 2 * maxChars).replace(/[\s\p{Cc}]+/gu, " ");
  return withoutOperatorDetails(start).trim().slice(0, maxChars).toWellFormed();
}
