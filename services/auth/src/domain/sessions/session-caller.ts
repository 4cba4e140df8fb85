import { DomainError, type Id } from "@routeplane/domain";
import { lastOf } from "../grant-rules.ts";
import type { KeyCaller } from "../keys/key.ts";
import type { OperatorCaller } from "../operators/operator.ts";
import type { SessionLineages } from "./session.ts";

/** The credential that calls a method of sessions. */
export type SessionCaller = ({ readonly kind: "key" } & KeyCaller) | ({ readonly kind: "operator" } & OperatorCaller);

/**
 * Requires that the caller has authority over a session: a root key over all of its namespace, a sub-key over its own and those of
 * the keys below it; an operator credential over its own, those of the credentials below it, and all that keys opened.
 *
 * @throws DomainError PERMISSION_DENIED
 */
export function requireSessionAuthority(caller: SessionCaller, { key, operator }: SessionLineages): void {
  if (caller.kind === "key") {
    if (caller.lineage.length === 1 || (key !== undefined && includes(lastOf(key), caller.keyId))) return;
    const message = "a sub-key ends only its own sessions and those of the keys below it";
    throw new DomainError("permission_denied", "KEY_OUT_OF_LINEAGE", message);
  }
  if (operator === undefined || includes(lastOf(operator), caller.operatorId)) return;
  const message =
    "an operator credential ends only its own sessions, and those of keys and of operator credentials below it";
  throw new DomainError("permission_denied", "OPERATOR_OUT_OF_LINEAGE", message);
}

function includes<K extends "key" | "op">({ lineage }: { readonly lineage: readonly Id<K>[] }, id: Id<K>): boolean {
  return lineage.includes(id);
}
