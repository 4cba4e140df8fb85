import { ALL_SCOPES, permits } from "@routeplane/credentials";
import { DomainError, newId } from "@routeplane/domain";
import type { Key } from "../keys/key.ts";
import type { Operator } from "../operators/operator.ts";

/** Scope that an operator credential needs to open sessions in namespaces. It already permits minting root keys there. */
const NAMESPACE_SCOPE = "keys:write";

/**
 * Creates a console key: the root key that the sessions of an operator credential use in a namespace. It has no token, so nobody else can
 * act as it.
 */
export function newConsoleKey(
  { namespaceId, accountId }: Pick<Key, "namespaceId" | "accountId">,
  { name }: Pick<Operator, "name">,
  now: number,
): Key {
  const id = newId("key");
  return {
    id,
    namespaceId,
    accountId,
    namespaceState: "active",
    name: `console of ${name}`,
    prefix: "",
    scopes: ALL_SCOPES,
    lineage: [id],
    createdAt: new Date(now),
    expiresAt: undefined,
    lastUsedAt: undefined,
    revokedAt: undefined,
    revokedReason: undefined,
  };
}

/** True unless the key is a console key. */
export function hasToken({ prefix }: Pick<Key, "prefix">): boolean {
  return prefix !== "";
}

/** Requires that operator scopes open sessions in namespaces. @throws DomainError PERMISSION_DENIED */
export function requireNamespaceScope(held: readonly string[]): void {
  if (permits(held, NAMESPACE_SCOPE)) return;
  const message = `a session in a namespace needs the operator scope ${NAMESPACE_SCOPE}, which your operator credential does not hold`;
  throw new DomainError("permission_denied", "SCOPE_MISSING", message, { metadata: { scope: NAMESPACE_SCOPE } });
}

/** @throws DomainError FAILED_PRECONDITION for a namespace in which every session would be refused */
export function requireActiveNamespace({ namespaceState }: Pick<Key, "namespaceState">): void {
  if (namespaceState === "active") return;
  const message = `the namespace is ${namespaceState}: no session can be opened in it`;
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}
