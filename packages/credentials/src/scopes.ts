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
} as const satisfies Record<string, readonly string[]>;

type Resource = keyof typeof ACTIONS;

export type Scope = { [R in Resource]: `${R}:${(typeof ACTIONS)[R][number] | "*"}` }[Resource];

/** What a root key holds unless told otherwise. */
export const ALL_SCOPES: readonly Scope[] = ["audit:*", "inference:*", "keys:*", "namespace:*", "policy:*", "usage:*"];

const KNOWN: ReadonlySet<string> = new Set(
  Object.entries(ACTIONS).flatMap(([resource, actions]) => [...actions, "*"].map((action) => `${resource}:${action}`)),
);

/**
 * The scopes in `texts`, sorted, or the rule that is broken: at least one, each known (case matters), none twice.
 */
export function parseScopes(
  texts: readonly string[],
): { readonly scopes: readonly Scope[] } | { readonly fault: string } {
  if (texts.length === 0) return { fault: "must name at least one scope" };
  if (texts.some((text) => text.trim() === "")) return { fault: "must not hold a blank scope" };
  const unknown = texts.filter((text) => !KNOWN.has(text));
  if (unknown.length > 0) {
    const known = [...KNOWN].toSorted().join(" ");
    return { fault: `unknown scope ${unknown.map(quote).join(", ")}; known scopes: ${known}` };
  }
  const twice = texts.filter((text, index) => texts.indexOf(text) !== index);
  if (twice.length > 0) return { fault: `scope ${twice.map(quote).join(", ")} is given twice` };
  return { scopes: (texts as readonly Scope[]).toSorted() };
}

/** Whether `held` contains `needed`. */
export function permits(held: readonly string[], needed: string): boolean {
  return held.some((scope) => covers(scope, needed));
}

/** Those of `wanted` that `held` does not contain: empty if `wanted` is a subset by meaning. */
export function scopesBeyond(wanted: readonly Scope[], held: readonly Scope[]): readonly Scope[] {
  return wanted.filter((scope) => !permits(held, scope));
}

/** What a lineage may do now: the intersection, by meaning, of the scopes of every key in it. */
export function effectiveScopes(lineage: readonly (readonly Scope[])[]): readonly Scope[] {
  const [first = [], ...rest] = lineage;
  return rest.reduce(intersect, first);
}

function intersect(left: readonly Scope[], right: readonly Scope[]): readonly Scope[] {
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
