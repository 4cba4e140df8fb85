/**
 * Scopes: `resource:action`, or `resource:*` for every action of a resource, future ones included. Compared by meaning: `keys:*`
 * contains `keys:read`, not the reverse. An empty set permits nothing.
 */

/** Actions of the scopes of keys, keyed by resource. */
const ACTIONS = {
  audit: ["read"],
  inference: ["invoke"],
  keys: ["read", "write"],
  namespace: ["read"],
  policy: ["read", "write"],
  usage: ["read"],
} as const satisfies Actions;

/** Actions of operator scopes, keyed by resource. Here `audit` is the audit log of the node; in scopes of keys, that of one namespace. */
const OPERATOR_ACTIONS = {
  accounts: ["read", "write"],
  audit: ["read"],
  keys: ["write"],
  namespaces: ["read", "write"],
  operators: ["read", "write"],
  usage: ["read", "write"],
} as const satisfies Actions;

/** Actions of the scopes of service credentials, keyed by resource. */
const SERVICE_ACTIONS = {
  keys: ["verify"],
  policy: ["admit"],
} as const satisfies Actions;

type Actions = Record<string, readonly string[]>;
type ScopeOf<A extends Actions> = { [R in keyof A & string]: `${R}:${A[R][number] | "*"}` }[keyof A & string];

export type Scope = ScopeOf<typeof ACTIONS>;
export type OperatorScope = ScopeOf<typeof OPERATOR_ACTIONS>;
/** Scope of a service credential. There is no wildcard, so that no credential gains the scopes that a later release adds. */
export type ServiceScope = Exclude<ScopeOf<typeof SERVICE_ACTIONS>, `${string}:*`>;

/** Default scopes of a root key. */
export const ALL_SCOPES: readonly Scope[] = ["audit:*", "inference:*", "keys:*", "namespace:*", "policy:*", "usage:*"];

/** Scopes of a node's first operator credential. */
export const ALL_OPERATOR_SCOPES: readonly OperatorScope[] = [
  "accounts:*",
  "audit:*",
  "keys:*",
  "namespaces:*",
  "operators:*",
  "usage:*",
];

/** Scopes of service credentials. */
export const ALL_SERVICE_SCOPES: readonly ServiceScope[] = ["keys:verify", "policy:admit"];

/** Every scope of keys, without wildcards: a key that is given some of them gains nothing that a later release adds. */
export const SINGLE_SCOPES: readonly Scope[] = [...scopesIn(ACTIONS)].filter((scope) => !scope.endsWith(":*"));

const KNOWN = scopesIn(ACTIONS);
const KNOWN_TO_OPERATORS = scopesIn(OPERATOR_ACTIONS);

/** Parsed scopes, or the rule that they break. */
export type ParsedScopes<S> = { readonly scopes: readonly S[] } | { readonly fault: string };

/** The scopes in `texts`, sorted, or the rule that they break: at least one, each known (case matters), none twice. */
export function parseScopes(texts: readonly string[]): ParsedScopes<Scope> {
  return parseKnown(texts, KNOWN);
}

/** The operator scopes in `texts`; otherwise as `parseScopes`. */
export function parseOperatorScopes(texts: readonly string[]): ParsedScopes<OperatorScope> {
  return parseKnown(texts, KNOWN_TO_OPERATORS);
}

/** The scopes of a service credential in `texts`; otherwise as `parseScopes`. */
export function parseServiceScopes(texts: readonly string[]): ParsedScopes<ServiceScope> {
  return parseKnown(texts, new Set(ALL_SERVICE_SCOPES));
}

function scopesIn<A extends Actions>(actions: A): ReadonlySet<ScopeOf<A>> {
  const scopes = Object.entries(actions).flatMap(([resource, own]) =>
    [...own, "*"].map((action) => `${resource}:${action}`),
  );
  return new Set(scopes as ScopeOf<A>[]);
}

function parseKnown<S extends string>(texts: readonly string[], known: ReadonlySet<S>): ParsedScopes<S> {
  if (texts.length === 0) return { fault: "must name at least one scope" };
  if (texts.some((text) => text.trim() === "")) return { fault: "must not hold a blank scope" };
  const unknown = texts.filter((text) => !(known as ReadonlySet<string>).has(text));
  if (unknown.length > 0) {
    const all = [...known].toSorted().join(" ");
    return { fault: `unknown scope ${unknown.map(quote).join(", ")}; known scopes: ${all}` };
  }
  const twice = texts.filter((text, index) => texts.indexOf(text) !== index);
  if (twice.length > 0) return { fault: `scope ${twice.map(quote).join(", ")} is given twice` };
  return { scopes: (texts as readonly S[]).toSorted() };
}

/** True if `held` contains `needed`, by meaning. */
export function permits(held: readonly string[], needed: string): boolean {
  return held.some((scope) => covers(scope, needed));
}

/** Scopes of `requested` that `held` does not contain: empty if `requested` is a subset, by meaning. */
export function scopesBeyond<S extends string>(requested: readonly S[], held: readonly string[]): readonly S[] {
  return requested.filter((scope) => !permits(held, scope));
}

/** Effective scopes of a lineage: the intersection, by meaning, of the scopes of every credential in it. */
export function effectiveScopes<S extends string>(lineage: readonly (readonly S[])[]): readonly S[] {
  const [first = [], ...rest] = lineage;
  return rest.reduce<readonly S[]>(intersect, first);
}

/**
 * Scopes that a token keeps after a rotation has replaced it: those to invoke and to read. A service credential keeps all its scopes,
 * because none of them changes a credential.
 */
const REPLACED_TOKEN_SCOPES = {
  key: [...KNOWN].filter(invokesOrReads),
  operator: [...KNOWN_TO_OPERATORS].filter(invokesOrReads),
  service: ALL_SERVICE_SCOPES,
};

/** The part of `held` that a replaced token keeps until its grace ends. A wildcard is narrowed to the actions that are kept. */
export function replacedScopes(kind: "key" | "operator" | "service", held: readonly string[]): readonly string[] {
  return effectiveScopes<string>([held, REPLACED_TOKEN_SCOPES[kind]]);
}

/** True for a scope that a replaced token keeps, if its credential holds it. */
export function invokesOrReads(scope: string): boolean {
  return scope === "inference:invoke" || scope.endsWith(":read");
}

function intersect<S extends string>(left: readonly S[], right: readonly S[]): readonly S[] {
  const both = [...left.filter((scope) => permits(right, scope)), ...right.filter((scope) => permits(left, scope))];
  return [...new Set(both)].toSorted();
}

function covers(held: string, needed: string): boolean {
  return held === needed || (held.endsWith(":*") && needed.startsWith(held.slice(0, -1)));
}

/** `text` for an error message: bounded, and without control characters. */
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}
