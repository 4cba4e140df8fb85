import { newId } from "@routeplane/domain";
import type { Caller, FollowKey, VerifyKey } from "../src/domain/ports.ts";

export function callerWith(scopes: readonly string[]): Caller {
  const keyId = newId("key");
  return { kind: "key", keyId, namespaceId: newId("ns"), scopes, lineage: [keyId] };
}

/** Keys of which nothing becomes. */
export function fakeVerification(verifyKey: VerifyKey): FollowKey {
  return async (token) => ({ principal: await verifyKey(token), release() {} });
}
