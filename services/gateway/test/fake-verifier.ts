import { newId } from "@routeplane/domain";
import type { Caller, SubscribeToKey, VerifyKey } from "../src/domain/ports/key-verifier.ts";

export function callerWith(scopes: readonly string[]): Caller {
  const keyId = newId("key");
  return { kind: "key", keyId, namespaceId: newId("ns"), scopes, lineage: [keyId] };
}

/** Keys of which nothing becomes. */
export function fakeVerification(verifyKey: VerifyKey): SubscribeToKey {
  return async (token) => ({ principal: await verifyKey(token), release() {} });
}
