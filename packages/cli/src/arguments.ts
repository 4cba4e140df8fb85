import { actionNames, AUTH_ACTIONS, POLICY_ACTIONS, USAGE_ACTIONS } from "@routeplane/audit/actions";
import { type IdKind, parseId, parseTime } from "@routeplane/domain";
import { InvalidArgumentError } from "commander";

/**
 * Parsers of option values, for commander: each returns the value, or says which rule it breaks. They know the rules that
 * a command line can break by itself; what depends on the node's state is the node's to refuse.
 */

const MAX_LIMIT_MICRO_USD = 9_000_000_000_000_000n;
const MAX_PAGE_SIZE = 1000;
const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const MAX_GRACE_SECS = 7 * SECONDS.d;

/** RFC 3339 with an offset. */
export function timeArgument(text: string): Date {
  const time = parseTime(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError("It must be an RFC 3339 time with an offset, e.g. 2026-05-01T00:00:00Z.");
}

/** Blank- or comma-separated, and repeatable: each use adds to `before`. */
export function scopesArgument(text: string, before: readonly string[] = []): readonly string[] {
  const scopes = text.split(/[\s,]+/).filter((scope) => scope !== "");
  if (scopes.length > 0) return [...before, ...scopes];
  throw new InvalidArgumentError('It must name at least one scope, e.g. "inference:invoke usage:read".');
}

/** Name of a key or a policy: 1 to 100 characters, not blank, no control characters. */
export function nameArgument(text: string): string {
  return textOf(text, 100);
}

/** Why a key is revoked: 1 to 200 characters, not blank, no control characters. */
export function reasonArgument(text: string): string {
  return textOf(text, 200);
}

/** In seconds: a whole number of seconds, minutes, hours or days, from 0 to 7 days. */
export function graceArgument(text: string): number {
  if (text === "0") return 0;
  const [, number = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Number(number) * (SECONDS[unit as keyof typeof SECONDS] ?? Number.NaN);
  if (seconds <= MAX_GRACE_SECS) return seconds;
  throw new InvalidArgumentError("It must be a whole number of s, m, h or d, from 0s to 7d, e.g. 90s, 1h or 2d.");
}

/** Help text for the name of a namespace or an account. */
export const NAMESPACE_NAME = "Name: 1 to 63 of a-z, 0-9 and -, starting with a letter";

/** Name of a namespace or an account. */
export function namespaceNameArgument(text: string): string {
  if (/^[a-z][a-z0-9-]{0,62}$/.test(text)) return text;
  throw new InvalidArgumentError(
    "It must be 1 to 63 lower-case letters, digits or hyphens, and start with a letter, e.g. team-a.",
  );
}

const DIMENSIONS = ["key", "model", "provider", "status", "hour", "day"] as const;
const STATUSES = ["pending", "succeeded", "failed", "cancelled", "denied", "unknown"] as const;
export type DimensionName = (typeof DIMENSIONS)[number];
export type StatusName = (typeof STATUSES)[number];

/** Blank- or comma-separated, and repeatable: each use adds to `before`. */
export function groupByArgument(text: string, before: readonly DimensionName[] = []): readonly DimensionName[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== "");
  const known = names.flatMap((name) => DIMENSIONS.find((each) => each === name) ?? []);
  const all = [...before, ...known];
  if (names.length > 0 && known.length === names.length && new Set(all).size === all.length) return all;
  throw new InvalidArgumentError(`It must name some of ${DIMENSIONS.join(", ")}, each once, e.g. key,model.`);
}

export function statusArgument(text: string): StatusName {
  const status = STATUSES.find((each) => each === text);
  if (status !== undefined) return status;
  throw new InvalidArgumentError(`It must be one of ${STATUSES.join(", ")}.`);
}

/** Services that have an audit log, with the actions in it. */
const ACTIONS = {
  auth: actionNames(AUTH_ACTIONS),
  policy: actionNames(POLICY_ACTIONS),
  usage: actionNames(USAGE_ACTIONS),
};

export interface LoggedAction {
  readonly name: string;
  /** The service in whose log it is. */
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

/** An id or a page token: anything that is not blank. Whether it exists is the node's to say. */
export function idArgument(text: string): string {
  if (text.trim() !== "") return text.trim();
  throw new InvalidArgumentError("It must not be blank.");
}

/** Id of a principal that changes things: a key or an operator credential. */
export function actorArgument(text: string): string {
  return idOfKind(text, ["key", "op"]);
}

/** Id of a resource whose changes are in an audit log. */
export function targetArgument(text: string): string {
  return idOfKind(text, ["key", "ns", "pol", "bnd", "acc", "op", "dl"]);
}

/** An audit log keeps what is gone, so that only the form of an id can be wrong. */
function idOfKind(text: string, kinds: readonly IdKind[]): string {
  const id = text.trim();
  if (kinds.some((kind) => parseId(kind, id) !== undefined)) return id;
  throw new InvalidArgumentError(
    `It must be an id: ${kinds.map((kind) => `${kind}_`).join(", ")} and 26 letters and digits.`,
  );
}

/** Micro-USD: a whole number, above zero, exact in every JSON reader. */
export function limitArgument(text: string): bigint {
  const limit = /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
  if (limit > 0n && limit <= MAX_LIMIT_MICRO_USD) return limit;
  throw new InvalidArgumentError(
    `It must be a whole number of micro-USD from 1 to ${MAX_LIMIT_MICRO_USD} (5000000 is 5 USD).`,
  );
}

/** A number of a spec: whole, and at least 1. */
export function countArgument(max: bigint): (text: string) => bigint {
  return (text) => {
    const count = /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
    if (count > 0n && count <= max) return count;
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${max}.`);
  };
}

/** The largest count of a spec: exact in every JSON reader. */
export const MAX_COUNT = 9_000_000_000_000_000n;

/** Blank- or comma-separated, and repeatable. Blank alone is an empty list. */
export function modelsArgument(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(/[\s,]+/).filter((model) => model !== "")];
}

/** `name=pattern`; the name holds no `=`. */
export function patternArgument(text: string, before: readonly NamedPattern[] = []): readonly NamedPattern[] {
  const [, name = "", pattern = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (name.trim() !== "" && pattern !== "") return [...before, { name, pattern }];
  throw new InvalidArgumentError("It must be a name, = and a pattern, e.g. card='\\b\\d{16}\\b'.");
}

export interface NamedPattern {
  readonly name: string;
  readonly pattern: string;
}

/** What a policy shows under --json as `etag`. */
export function etagArgument(text: string): string {
  if (text.trim() !== "" && text.length <= 100) return text.trim();
  throw new InvalidArgumentError("It must be an etag, as `policy get --json` shows it.");
}

export function pageSizeArgument(text: string): number {
  return wholeNumber(text, 1, MAX_PAGE_SIZE);
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

function textOf(text: string, maxLength: number): string {
  if (text.trim() === "") throw new InvalidArgumentError("It must not be blank.");
  if (Array.from(text).length > maxLength) {
    throw new InvalidArgumentError(`It must have at most ${maxLength} characters.`);
  }
  if (/\p{Cc}/u.test(text)) throw new InvalidArgumentError("It must not hold control characters.");
  return text;
}

function wholeNumber(text: string, min: number, max: number): number {
  const number = Number(text);
  if (/^\d{1,9}$/.test(text) && number >= min && number <= max) return number;
  throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
}
