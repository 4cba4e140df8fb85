/**
 * Scopes: `resource:action`, or `resource:*` for every action of a resource, today's and tomorrow's. Compared by meaning:
 * `keys:*` contains `keys:read`, not the reverse. An empty set permits nothing.
 */

const ACTIONS = {
  audit: ["read"],
  inference: ["invoke"],
  keys: ["read", "write"],
  namespace: ["read"],
  policy: ["read", "write"],
  usage: ["read"],
} as const satisfies Actions;

/** Of an operator credential. A resource that both have, as `audit`, is another one: that of the node, not of a namespace. */
const OPERATOR_ACTIONS = {
  accounts: ["read", "write"],
  audit: ["read"],
  keys: ["write"],
  namespaces: ["read", "write"],
  operators: ["read", "write"],
  usage: ["read", "write"],
} as const satisfies Actions;

type Actions = Record<string, readonly string[]>;
type ScopeOf<A extends Actions> = { [R in keyof A & string]: `${R}:${A[R][number] | "*"}` }[keyof A & string];

export type Scope = ScopeOf<typeof ACTIONS>;
export type OperatorScope = ScopeOf<typeof OPERATOR_ACTIONS>;

/** What a root key holds unless told otherwise. */
export const ALL_SCOPES: readonly Scope[] = ["audit:*", "inference:*", "keys:*", "namespace:*", "policy:*", "usage:*"];

/** What a node's first operator credential holds. */
export const ALL_OPERATOR_SCOPES: readonly OperatorScope[] = [
  "accounts:*",
  "audit:*",
  "keys:*",
  "namespaces:*",
  "operators:*",
  "usage:*",
];

const KNOWN = scopesIn(ACTIONS);
const KNOWN_TO_OPERATORS = scopesIn(OPERATOR_ACTIONS);

/** The rule of scopes that is broken, or what they are. */
export type ParsedScopes<S> = { readonly scopes: readonly S[] } | { readonly fault: string };

/**
 * The scopes in `texts`, sorted, or the rule that is broken: at least one, each known (case matters), none twice.
 */
export function parseScopes(texts: readonly string[]): ParsedScopes<Scope> {
  return parseKnown(texts, KNOWN);
}

/** As `parseScopes`, for an operator credential. */
export function parseOperatorScopes(texts: readonly string[]): ParsedScopes<OperatorScope> {
  return parseKnown(texts, KNOWN_TO_OPERATORS);
}

function scopesIn<A extends Actions>(actions: A): ReadonlySet<ScopeOf<A>> {
  const scopes = Object.entries(actions).flatMap(([resource, own]) =>
    [...own, "*"].map((each) => `${resource}:${each}`),
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

/** Whether `held` contains `needed`. */
export function permits(held: readonly string[], needed: string): boolean {
  return held.some((scope) => covers(scope, needed));
}

/** Those of `wanted` that `held` does not contain: empty if `wanted` is a subset by meaning. */
export function scopesBeyond<S extends string>(wanted: readonly S[], held: readonly string[]): readonly S[] {
  return wanted.filter((scope) => !permits(held, scope));
}

/** What a lineage may do now: the intersection, by meaning, of the scopes of every credential in it. */
export function effectiveScopes<S extends string>(lineage: readonly (readonly S[])[]): readonly S[] {
  const [first = [], ...rest] = lineage;
  return rest.reduce<readonly S[]>(intersect, first);
}

/** Scopes that a token keeps once a rotation has replaced it: to invoke and to read. */
const KEPT_WHEN_REPLACED = {
  key: [...KNOWN].filter(invokesOrReads),
  operator: [...KNOWN_TO_OPERATORS].filter(invokesOrReads),
};

/** The part of `held` that a replaced token may use until its grace ends. A wildcard is narrowed to what it contains of that. */
export function replacedScopes(kind: "key" | "operator", held: readonly string[]): readonly string[] {
  return effectiveScopes<string>([held, KEPT_WHEN_REPLACED[kind]]);
}

/** True if a replaced token may use the scope, provided that its credential holds it. */
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

/** Bounded and without control characters, because it ends up in an error message. */
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}
