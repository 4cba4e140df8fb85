import { actionNames, AUTH_ACTIONS, POLICY_ACTIONS, USAGE_ACTIONS } from "@routeplane/audit/actions";
import { type IdKind, nameFault, parseId } from "@routeplane/domain";
import { InvalidArgumentError } from "commander";
import { type DimensionName, DIMENSIONS, type StatusName, STATUSES } from "./request-words.ts";
import { secondsOf } from "./written-time.ts";

export type { DimensionName, StatusName };

/**
 * Parsers of option values, for commander. Each returns the value, or throws an error that names the rule it breaks. They check
 * only the form: rules that depend on the state of the node are checked by the node.
 */

const MAX_LIMIT_MICRO_USD = 9_000_000_000_000_000n;
const MAX_ROWS = 1_000_000;
const DAY_SECS = 86_400;
const MAX_GRACE_SECS = 7 * DAY_SECS;
const MAX_DURATION_SECS = 3_650 * DAY_SECS;
const MAX_RATE_WINDOW_SECS = 30 * DAY_SECS;

/** Parses scopes, separated by blanks or commas. The option is repeatable: each use adds to `previous`. */
export function scopesArgument(text: string, previous: readonly string[] = []): readonly string[] {
  const scopes = text.split(/[\s,]+/).filter((scope) => scope !== "");
  if (scopes.length > 0) return [...previous, ...scopes];
  throw new InvalidArgumentError('It must name at least one scope, e.g. "inference:invoke usage:read".');
}

/** Parses the name of a key or a policy: 1 to 100 characters, not blank, no control characters. */
export function nameArgument(text: string): string {
  return boundedText(text, 100);
}

/** Parses the reason of a revocation: 1 to 200 characters, not blank, no control characters. */
export function reasonArgument(text: string): string {
  return boundedText(text, 200);
}

/** Parses a duration, a whole number of seconds, minutes, hours or days, from 0 to 7 days. The result is in seconds. */
export function graceArgument(text: string): number {
  if (text === "0") return 0;
  const seconds = secondsOf(text);
  if (seconds <= MAX_GRACE_SECS) return seconds;
  throw new InvalidArgumentError("It must be a whole number of s, m, h or d, from 0s to 7d, e.g. 90s, 1h or 2d.");
}

/** Parses a duration of at least a second and at most ten years. The result is in seconds. */
export function durationArgument(text: string): number {
  const seconds = secondsOf(text);
  if (seconds >= 1 && seconds <= MAX_DURATION_SECS) return seconds;
  throw new InvalidArgumentError("It must be a whole number of s, m, h or d, from 1s to 3650d, e.g. 30m, 2h or 7d.");
}

/** A maximum of requests within a sliding window. */
export interface RequestRate {
  readonly maxRequests: bigint;
  readonly windowSecs: number;
}

/** Parses a number of requests and a duration up to 30 days, e.g. `60/1m`. */
export function rateArgument(text: string): RequestRate {
  const [, count = "", time = ""] = /^(\d{1,20})\/(.+)$/.exec(text) ?? [];
  const [maxRequests, windowSecs] = [BigInt(count || 0), secondsOf(time)];
  if (maxRequests > 0n && maxRequests <= MAX_COUNT && windowSecs >= 1 && windowSecs <= MAX_RATE_WINDOW_SECS)
    return { maxRequests, windowSecs };
  throw new InvalidArgumentError("It must be a number of requests, / and a time from 1s to 30d, e.g. 60/1m.");
}

/** Help text for the name of a namespace or an account. */
export const NAMESPACE_NAME = "Name: 1 to 63 of a-z, 0-9 and -, starting with a letter";

/** Parses the name of a namespace or an account. */
export function namespaceNameArgument(text: string): string {
  if (/^[a-z][a-z0-9-]{0,62}$/.test(text)) return text;
  throw new InvalidArgumentError(
    "It must be 1 to 63 lower-case letters, digits or hyphens, and start with a letter, e.g. team-a.",
  );
}

/** Parses dimensions, separated by blanks or commas. The option is repeatable: each use adds to `previous`. */
export function groupByArgument(text: string, previous: readonly DimensionName[] = []): readonly DimensionName[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== "");
  const known = names.flatMap((name) => DIMENSIONS.find((dimension) => dimension === name) ?? []);
  const all = [...previous, ...known];
  if (names.length > 0 && known.length === names.length && new Set(all).size === all.length) return all;
  throw new InvalidArgumentError(`It must name some of ${DIMENSIONS.join(", ")}, each once, e.g. key,model.`);
}

export function statusArgument(text: string): StatusName {
  const status = STATUSES.find((known) => known === text);
  if (status !== undefined) return status;
  throw new InvalidArgumentError(`It must be one of ${STATUSES.join(", ")}.`);
}

/** Actions in the audit log of each service. */
const ACTIONS = {
  auth: actionNames(AUTH_ACTIONS),
  policy: actionNames(POLICY_ACTIONS),
  usage: actionNames(USAGE_ACTIONS),
};

export interface LoggedAction {
  readonly name: string;
  /** Service whose audit log has the action. */
  readonly service: keyof typeof ACTIONS;
}

export function actionArgument(text: string): LoggedAction {
  for (const service of ["auth", "policy", "usage"] as const) {
    if (ACTIONS[service].includes(text)) return { name: text, service };
  }
  const all = Object.values(ACTIONS).flat();
  const [kind = ""] = text.split(".");
  const alike = all.filter((name) => name.startsWith(`${kind}.`));
  throw new InvalidArgumentError(`It must be one of ${(alike.length > 0 ? alike : all).join(", ")}.`);
}

/** Parses an id or a page token: anything that is not blank. The node checks whether it exists. */
export function idArgument(text: string): string {
  if (text.trim() !== "") return text.trim();
  throw new InvalidArgumentError("It must not be blank.");
}

/** Parses the name or id of a key. */
export function keyArgument(text: string): string {
  return idArgument(text);
}

/** Parses the name or id of a key for a repeatable option, and adds it to those of previous uses. */
export function keysArgument(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, idArgument(text)];
}

/** Parses the name or id of a policy. */
export function policyArgument(text: string): string {
  return idArgument(text);
}

/** Parses the name or id of a namespace. */
export function namespaceArgument(text: string): string {
  return idArgument(text);
}

/** Parses the name or id of a key or of the namespace. */
export function principalArgument(text: string): string {
  return idArgument(text);
}

/** Parses the name of a context. Its form is checked where it is looked up. */
export function contextArgument(text: string): string {
  return idArgument(text);
}

/** Parses the name or the id of a caller that can change resources: a key, or an operator credential or session by its id. */
export function actorArgument(text: string): string {
  return nameOrIdOfKind(text, ["key", "op", "ses"]);
}

/** Parses the name or the id of a resource whose changes are in an audit log. */
export function targetArgument(text: string): string {
  return nameOrIdOfKind(text, ["key", "ns", "pol", "bnd", "acc", "op", "svc", "ses", "dl"]);
}

/** Parses the id of a session. */
export function sessionArgument(text: string): string {
  return idOfKind(text, ["ses"]);
}

/** Parses the id of an entry of the audit log. */
export function entryArgument(text: string): string {
  return idOfKind(text, ["aud"]);
}

/** Matches a text that begins like an id of any kind. It is parsed as an id. */
const LIKE_AN_ID = /^(?:acc|ns|key|op|svc|ses|pol|bnd|req|aud|dl|den|gws)_/i;

/** Parses a name, or an id of one of `kinds`. */
function nameOrIdOfKind(text: string, kinds: readonly IdKind[]): string {
  const nameOrId = idArgument(text);
  return LIKE_AN_ID.test(nameOrId) ? idOfKind(nameOrId, kinds) : nameOrId;
}

/** Parses an id of one of `kinds`. Only its form is checked, because audit logs keep the ids of deleted resources. */
function idOfKind(text: string, kinds: readonly IdKind[]): string {
  const id = text.trim();
  if (kinds.some((kind) => parseId(kind, id) !== undefined)) return id;
  throw new InvalidArgumentError(
    `It must be an id: ${kinds.map((kind) => `${kind}_`).join(", ")} and 26 letters and digits.`,
  );
}

/** Parses micro-USD: a whole number above 0, small enough to be exact in every JSON reader. */
export function limitArgument(text: string): bigint {
  const limit = /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
  if (limit > 0n && limit <= MAX_LIMIT_MICRO_USD) return limit;
  throw new InvalidArgumentError(
    `It must be a whole number of micro-USD from 1 to ${MAX_LIMIT_MICRO_USD} (5000000 is 5 USD).`,
  );
}

/** Parses an amount in USD, exact to a micro-USD. The result is in micro-USD. */
export function usdArgument(text: string): bigint {
  const [, whole = "", fraction = ""] = /^(\d{1,10})(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  const limit = BigInt(`${whole || 0}${fraction.padEnd(6, "0")}`);
  if (limit > 0n && limit <= MAX_LIMIT_MICRO_USD) return limit;
  throw new InvalidArgumentError("It must be an amount in USD above 0, with at most 6 decimals, e.g. 5 or 0.25.");
}

/** Creates a parser of whole numbers from 1 to `max`. */
export function countArgument(max: bigint): (text: string) => bigint {
  return (text) => {
    const count = /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
    if (count > 0n && count <= max) return count;
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${max}.`);
  };
}

/** Largest count in a spec, exact in every JSON reader. */
export const MAX_COUNT = 9_000_000_000_000_000n;

/** Parses models, separated by blanks or commas. The option is repeatable. A blank text is an empty list. */
export function modelsArgument(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, ...text.split(/[\s,]+/).filter((model) => model !== "")];
}

/** Creates a parser of words from a fixed list, separated by blanks or commas. The option is repeatable. A blank text is an empty list. */
export function wordsArgument(
  words: readonly string[],
): (text: string, previous?: readonly string[]) => readonly string[] {
  return (text, previous = []) => {
    const given = text.split(/[\s,]+/).filter((word) => word !== "");
    if (given.every((word) => words.includes(word))) return [...previous, ...given];
    throw new InvalidArgumentError(`It must name some of ${words.join(", ")}.`);
  };
}

/** Parses `name=pattern`, split at the first `=`. */
export function patternArgument(text: string, previous: readonly NamedPattern[] = []): readonly NamedPattern[] {
  const [, name = "", pattern = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (nameFault(name) === undefined && pattern !== "") return [...previous, { name, pattern }];
  throw new InvalidArgumentError("It must be a name, = and a pattern, e.g. card='\\b\\d{16}\\b'.");
}

export interface NamedPattern {
  readonly name: string;
  readonly pattern: string;
}

/** Parses the etag of a policy, as `--json` shows it. */
export function etagArgument(text: string): string {
  if (text.trim() !== "" && text.length <= 100) return text.trim();
  throw new InvalidArgumentError("It must be an etag, as `policy get --json` shows it.");
}

/** Parses a number of rows to list, which are read page by page. */
export function rowsArgument(text: string): number {
  return wholeNumber(text, 1, MAX_ROWS);
}

/** Maximum number of values with groups of their own. */
export const MAX_LARGEST = 1_000;

/** Parses a number of values with groups of their own. */
export function largestArgument(text: string): number {
  return wholeNumber(text, 1, MAX_LARGEST);
}

export function portArgument(text: string): number {
  return wholeNumber(text, 1, 65_535);
}

export function gatewaysArgument(text: string): number {
  return wholeNumber(text, 1, 16);
}

export function daysArgument(text: string): number {
  return wholeNumber(text, 1, 90);
}

function boundedText(text: string, maxLength: number): string {
  if (Array.from(text).length > maxLength) {
    throw new InvalidArgumentError(`It must have at most ${maxLength} characters.`);
  }
  const fault = nameFault(text);
  if (fault !== undefined) throw new InvalidArgumentError(`It ${fault}.`);
  return text;
}

function wholeNumber(text: string, min: number, max: number): number {
  const number = Number(text);
  if (/^\d{1,9}$/.test(text) && number >= min && number <= max) return number;
  throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
}
