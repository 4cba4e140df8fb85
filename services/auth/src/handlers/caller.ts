import type { HandlerContext } from "@connectrpc/connect";
import { bearerToken, parseToken } from "@routeplane/credentials";
import { keyPrincipalOf, operatorPrincipalOf } from "@routeplane/rpc";
import type { KeyCaller } from "../domain/keys/key.ts";
import type { OperatorCaller } from "../domain/operators/operator.ts";

/** The calling key and the token that it presented, in a handler whose access rule admits keys only. */
export function keyCallerOf(context: HandlerContext): KeyCaller {
  return { ...keyPrincipalOf(context), lookupId: lookupIdOf(context) };
}

/** The calling operator credential and the token that it presented, in a handler whose access rule admits operators only. */
export function operatorCallerOf(context: HandlerContext): OperatorCaller {
  return { ...operatorPrincipalOf(context), lookupId: lookupIdOf(context) };
}

function lookupIdOf({ method, requestHeader }: HandlerContext): string {
  const presented = bearerToken(requestHeader.get("authorization"), requestHeader.get("x-api-key"));
  const token = "token" in presented ? parseToken(presented.token) : undefined;
  if (token === undefined) throw new Error(`${method.name} was called without a token`);
  return token.lookupId;
}
