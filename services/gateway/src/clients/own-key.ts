import { createClient, type Transport } from "@connectrpc/connect";
import { IdentityService } from "@routeplane/contracts/auth";
import { EffectivePolicyService } from "@routeplane/contracts/policy";
import { DomainError } from "@routeplane/domain";
import { fromProtoOwnLimit } from "@routeplane/policy-spec/proto";
import { CLIENT_ADDRESS, fromConnectError, fromTimestamp, RELAY_CREDENTIAL } from "@routeplane/rpc";
import { currentOf, type WatchedSecret } from "@routeplane/runtime";
import type { ReadOwnKey } from "../domain/ports/own-key.ts";

export interface OwnKeyServices {
  /** Transports to the two services, without a credential of the gateway: the calls carry that of the client. */
  readonly auth: Transport;
  readonly policy: Transport;
  /** Credential of the gateway, for which the services trust the client address and request id of the calls. */
  readonly serviceToken: string | WatchedSecret;
}

/** Creates the reader of the client's own key: auth knows the key, policy its limits. */
export function createReadOwnKey({ auth, policy, serviceToken }: OwnKeyServices): ReadOwnKey {
  const identity = createClient(IdentityService, auth);
  const effective = createClient(EffectivePolicyService, policy);
  return async ({ token, address }) => {
    const headers = {
      authorization: `Bearer ${token}`,
      [CLIENT_ADDRESS]: address,
      [RELAY_CREDENTIAL]: currentOf(serviceToken),
    };
    const [who, { limits }] = await Promise.all([
      identity.whoAmI({}, { headers }).catch(failOf("auth")),
      effective.getOwnLimits({}, { headers }).catch(failOf("policy")),
    ]);
    if (who.identity.case !== "key") throw noKey();
    const { keyId, name, prefix, scopes, parentId, namespaceId, createdAt, expiresAt } = who.identity.value;
    return {
      id: keyId,
      name,
      prefix,
      scopes,
      parentId: parentId === "" ? undefined : parentId,
      namespaceId,
      createdAt: fromTimestamp(createdAt) ?? new Date(0),
      expiresAt: fromTimestamp(expiresAt),
      limits: limits.map(fromProtoOwnLimit),
    };
  };
}

function failOf(dependency: string): (error: unknown) => never {
  return (error) => {
    throw fromConnectError(error, dependency);
  };
}

function noKey(): DomainError {
  const message = "the auth service did not answer with a key";
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata: { dependency: "auth" } });
}
