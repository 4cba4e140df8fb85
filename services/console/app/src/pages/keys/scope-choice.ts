import { permits, SINGLE_SCOPES } from "@routeplane/credentials/scopes";

/** Description of each scope, for people who choose. */
export const SCOPE_TEXTS: Readonly<Record<string, string>> = {
  "audit:read": "read who changed what",
  "inference:invoke": "call models",
  "keys:read": "list keys",
  "keys:write": "mint, change and revoke keys below it",
  "namespace:read": "read the namespace",
  "policy:read": "read policies and limits",
  "policy:write": "create, change and bind policies",
  "usage:read": "read spend and the request log",
};

/** Scope to choose, with the reason if it cannot be chosen. */
export interface ScopeOption {
  readonly scope: string;
  readonly text: string;
  /** True if a chosen wildcard contains the scope. */
  readonly isImplied: boolean;
  /** False if the key above does not hold the scope: a key never gets more scopes than the key that mints it. */
  readonly isHeld: boolean;
}

/** Scopes to choose from for a new key: all scopes. @param held scopes of the key that mints it */
export function mintScopeOptions(held: readonly string[]): readonly ScopeOption[] {
  return SINGLE_SCOPES.map((scope) => ({
    scope,
    text: SCOPE_TEXTS[scope] ?? "",
    isImplied: false,
    isHeld: permits(held, scope),
  }));
}

/** Scopes to choose from when a key is narrowed: the scopes that it holds now, and the single scopes in their wildcards. */
export function narrowScopeOptions(held: readonly string[], chosen: readonly string[]): readonly ScopeOption[] {
  const singles = SINGLE_SCOPES.filter((scope) => permits(held, scope));
  return [...new Set([...held, ...singles])].toSorted().map((scope) => ({
    scope,
    text: SCOPE_TEXTS[scope] ?? (scope.endsWith(":*") ? "all of it, what later versions add included" : ""),
    isImplied: permits(
      chosen.filter((other) => other !== scope),
      scope,
    ),
    isHeld: true,
  }));
}
