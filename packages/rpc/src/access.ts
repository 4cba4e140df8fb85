import { type DescMethod, type DescService, getOption } from "@bufbuild/protobuf";
import { any_of, idempotent } from "@routeplane/contracts/access";
import * as auth from "@routeplane/contracts/auth";
import * as policy from "@routeplane/contracts/policy";
import * as usage from "@routeplane/contracts/usage";

/** One value of the method option `routeplane.access.v1.any_of`. */
export type AccessRule = "credential" | "key" | "public" | `${string}:${string}`;

const OPERATOR = "operator:";
const INTERNAL = "internal:";
const SERVICE = "service:";

/** Scope that an operator credential needs by this rule; undefined if the rule is for other callers. */
export function operatorScopeOf(rule: AccessRule): string | undefined {
  return rule.startsWith(OPERATOR) ? rule.slice(OPERATOR.length) : undefined;
}

/** Internal caller that this rule admits, e.g. `gateway`; undefined if the rule is for other callers. */
export function internalCallerOf(rule: AccessRule): string | undefined {
  return rule.startsWith(INTERNAL) ? rule.slice(INTERNAL.length) : undefined;
}

/** Scope that a service credential needs by this rule; undefined if the rule is for other callers. */
export function serviceScopeOf(rule: AccessRule): string | undefined {
  return rule.startsWith(SERVICE) ? rule.slice(SERVICE.length) : undefined;
}

/** True if only internal callers, and perhaps service credentials, may call the method. */
export function isInternal(method: DescMethod): boolean {
  return accessOf(method).some((rule) => internalCallerOf(rule) !== undefined);
}

/**
 * Access rules of a method, from its contract. The standard services of gRPC (health, reflection), which cannot have this option, are
 * public.
 *
 * @throws Error for a method without a rule: it must not be served.
 */
export function accessOf(method: DescMethod): readonly AccessRule[] {
  const cached = CACHE.get(method);
  if (cached !== undefined) return cached;
  const rules = readAccess(method);
  CACHE.set(method, rules);
  return rules;
}

/** Cached rules: reading an option decodes it from the descriptor's bytes, and every call reads this one twice. */
const CACHE = new WeakMap<DescMethod, readonly AccessRule[]>();

function readAccess(method: DescMethod): readonly AccessRule[] {
  if (isStandard(method)) return ["public"];
  const rules = getOption(method, any_of) as AccessRule[];
  if (rules.length === 0) throw new Error(`${method.parent.typeName}/${method.name} has no access rule`);
  return rules;
}

/** True for a method of a standard service of gRPC: health and reflection, which only read. */
function isStandard({ parent }: DescMethod): boolean {
  return parent.typeName.startsWith("grpc.");
}

/** True for a method that may be called again if a call got no response, by its contract; true for standard services, which only read. */
export function isIdempotent(method: DescMethod): boolean {
  const cached = IDEMPOTENT.get(method);
  if (cached !== undefined) return cached;
  const value = isStandard(method) || getOption(method, idempotent);
  IDEMPOTENT.set(method, value);
  return value;
}

const IDEMPOTENT = new WeakMap<DescMethod, boolean>();

/** Services of the contracts, keyed by the process that serves them. */
export function publishedServices(): Readonly<Record<"auth" | "policy" | "usage", readonly DescService[]>> {
  return { auth: servicesIn(auth), policy: servicesIn(policy), usage: servicesIn(usage) };
}

function servicesIn(contracts: object): readonly DescService[] {
  return Object.values(contracts).filter((value: { kind?: string }): value is DescService => value.kind === "service");
}
