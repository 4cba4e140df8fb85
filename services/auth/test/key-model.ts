/**
 * A model of the rules of keys, independent of the service's code and as plain as possible. A scope is the set of actions that it
 * grants, so that subset and intersection are those of sets.
 */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  inference: ["invoke"],
  keys: ["read", "write"],
  namespace: ["read"],
  policy: ["read", "write"],
  usage: ["read"],
};

export const SCOPES = Object.entries(ACTIONS).flatMap(([resource, actions]) =>
  [...actions, "*"].map((action) => `${resource}:${action}`),
);

/** Maximum number of keys of one lineage, including the root key. */
const DEPTH = 8;

export interface ModelKey {
  readonly id: string;
  readonly namespaceId: string;
  readonly parent: ModelKey | undefined;
  scopes: readonly string[];
  /** Milliseconds; `Infinity`: never. */
  expiresAt: number;
  revoked: boolean;
  readonly tokens: { readonly text: string; worksUntil: number }[];
}

export type Fault = "unauthenticated" | "permission_denied" | "invalid" | "not_found" | "too_deep" | "conflict";
/** Faults of a call: the service must refuse it for any of them. Empty: it must not refuse. */
export type Faults = ReadonlySet<Fault>;

export interface Request {
  readonly scopes: readonly string[];
  readonly expiresAt: number | undefined;
}

/** Fields that an update changes. */
type Change = { readonly [Part in keyof Request]: Request[Part] | undefined };

export class KeyModel {
  readonly keys: ModelKey[] = [];

  /** Picks a caller: mostly a key that can make changes, sometimes any. `seed` is any natural number. */
  actor(seed: number, now: number): ModelKey {
    const able = this.keys.filter((key) => faultsOfCall(key, "keys:write", now).size === 0);
    return pick(seed % 5 === 0 || able.length === 0 ? this.keys : able, seed);
  }

  /** Picks a target: mostly a key above or below `actor`, or itself; sometimes any. */
  target(seed: number, actor: ModelKey): ModelKey {
    const near = this.keys.filter((key) => lineage(key).includes(actor) || lineage(actor).includes(key));
    return pick(seed % 3 === 0 ? this.keys : near, seed);
  }
}

function pick(keys: readonly ModelKey[], seed: number): ModelKey {
  const key = keys[seed % keys.length];
  if (key === undefined) throw new Error("the model holds no key");
  return key;
}

/** The key and all above it, up to its root key. */
export function lineage(key: ModelKey): readonly ModelKey[] {
  return key.parent === undefined ? [key] : [key, ...lineage(key.parent)];
}

export function isInactive(key: ModelKey, now: number): boolean {
  return lineage(key).some(({ revoked, expiresAt }) => revoked || expiresAt <= now);
}

export function expiry(key: ModelKey): number {
  return Math.min(...lineage(key).map(({ expiresAt }) => expiresAt));
}

/** Actions that these scopes grant; a wildcard also grants itself, for actions that do not exist yet. */
export function grants(scopes: readonly string[]): ReadonlySet<string> {
  return new Set(
    scopes.flatMap((scope) => {
      const [resource = "", action] = scope.split(":");
      return action === "*" ? [scope, ...(ACTIONS[resource] ?? []).map((each) => `${resource}:${each}`)] : [scope];
    }),
  );
}

/** Actions that a key may do now. */
export function authority(key: ModelKey): ReadonlySet<string> {
  return lineage(key)
    .map(({ scopes }) => grants(scopes))
    .reduce((all, own) => all.intersection(own));
}

/** Actions that a token may do now: of a replaced token at most those that invoke and read. */
export function authorityOf(key: ModelKey, token: ModelKey["tokens"][number]): ReadonlySet<string> {
  const whole = authority(key);
  if (token.worksUntil === Infinity) return whole;
  return new Set([...whole].filter((scope) => scope === "inference:invoke" || scope.endsWith(":read")));
}

/** Faults of a call by `actor` of a method that needs `scope`. */
export function faultsOfCall(actor: ModelKey, scope: string, now: number): Faults {
  if (isInactive(actor, now)) return new Set(["unauthenticated"]);
  return new Set(authority(actor).has(scope) ? [] : ["permission_denied"]);
}

/** Faults of authority: a key rotates only itself and the keys below it; a root key also changes all others. */
export function faultsOfAuthority(actor: ModelKey, target: ModelKey, action: "change" | "rotate"): Faults {
  if (target.namespaceId !== actor.namespaceId) return new Set(["not_found"]);
  const isAbove = lineage(target).includes(actor) || (action === "change" && actor.parent === undefined);
  return new Set(isAbove ? [] : ["permission_denied"]);
}

/** Faults of an update of `target`. */
export function faultsOfUpdate(target: ModelKey, { scopes, expiresAt }: Change, now: number): Faults {
  if (isInactive(target, now)) return new Set(["conflict"]);
  const faults = new Set<Fault>();
  if (scopes !== undefined && !grants(scopes).isSubsetOf(authority(target))) faults.add("permission_denied");
  if (expiresAt !== undefined && expiresAt <= now) faults.add("invalid");
  if (expiresAt !== undefined && expiresAt > expiry(target)) faults.add("permission_denied");
  return faults;
}

/** Faults of a mint by `minter`. */
export function faultsOfMint(minter: ModelKey, request: Request, now: number): Faults {
  const refused = faultsOfCall(minter, "keys:write", now);
  if (refused.size > 0) return refused;
  const { scopes, expiresAt } = request;
  const faults = new Set<Fault>();
  if (lineage(minter).length >= DEPTH) faults.add("too_deep");
  if (scopes.length === 0 || (expiresAt !== undefined && expiresAt <= now)) faults.add("invalid");
  if (!grants(scopes).isSubsetOf(authority(minter))) faults.add("permission_denied");
  if (expiresAt !== undefined && expiresAt > expiry(minter)) faults.add("permission_denied");
  return faults;
}
