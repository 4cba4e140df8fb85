import type { HandlerContext } from "@connectrpc/connect";
import { bearerToken, parseToken } from "@routeplane/credentials";
import { credentialPrincipalOf, keyPrincipalOf, operatorPrincipalOf } from "@routeplane/rpc";
import type { KeyCaller } from "../domain/keys/key.ts";
import type { OperatorCaller } from "../domain/operators/operator.ts";
import type { SessionCaller } from "../domain/sessions/session-caller.ts";

/** The calling key and the token that it presented, in a handler whose access rule admits keys only. */
export function keyCallerOf(context: HandlerContext): KeyCaller {
  return { ...keyPrincipalOf(context), lookupId: lookupIdOf(context) };
}

/** The calling operator credential and the token that it presented, in a handler whose access rule admits operators only. */
export function operatorCallerOf(context: HandlerContext): OperatorCaller {
  const principal = operatorPrincipalOf(context);
  return { ...principal, operatorLineage: principal.lineage, lookupId: lookupIdOf(context) };
}

/** The calling key or operator credential, or session of one, and the token that it presented. */
export function sessionCallerOf(context: HandlerContext): SessionCaller {
  return credentialPrincipalOf(context).kind === "key"
    ? { kind: "key", ...keyCallerOf(context) }
    : { kind: "operator", ...operatorCallerOf(context) };
}

/** Token that the caller presented, to call another service with it on the caller's behalf. */
export function callerTokenOf({ method, requestHeader }: HandlerContext): string {
  const presented = bearerToken(requestHeader.get("authorization"), requestHeader.get("x-api-key"));
  if (!("token" in presented)) throw new Error(`${method.name} was called without a token`);
  return presented.token;
}

function lookupIdOf(context: HandlerContext): string {
  const { method } = context;
  const token = parseToken(callerTokenOf(context));
  if (token === undefined) throw new Error(`${method.name} was called without a token`);
  return token.lookupId;
}
