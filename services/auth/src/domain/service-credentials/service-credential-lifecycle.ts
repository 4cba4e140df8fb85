import type { Peppers } from "@routeplane/credentials";
import { type Clock, type Id, invalidField, notFound } from "@routeplane/domain";
import { reachOf, requireWholeNode } from "../namespaces/account.ts";
import type { OperatorCaller } from "../operators/operator.ts";
import type { NamespaceStore, ServiceCredentialStore } from "../ports.ts";
import { newRotation } from "../rotation.ts";
import { newToken } from "../secret.ts";
import {
  newServiceCredential,
  revokedServiceCredential,
  rotatedServiceCredential,
  type ServiceCredential,
  type ServiceCredentialRequest,
} from "./service-credential.ts";

/** Names or ids of the namespaces to bind a service credential to, or all of the node. */
export interface RequestedNamespaces {
  readonly namespaces: readonly string[];
  readonly allNamespaces: boolean;
}

/** A service credential and its new token, which exists nowhere else. */
export interface MintedServiceCredential {
  readonly service: ServiceCredential;
  readonly token: string;
}

export interface RotatedServiceCredential extends MintedServiceCredential {
  /** First moment at which the replaced token is refused. */
  readonly graceEndsAt: Date;
}

/** Mint, rotation and revocation of service credentials. NOT_FOUND for one out of the caller's reach. */
export interface ServiceCredentialLifecycle {
  /** @throws DomainError NOT_FOUND for a namespace out of reach; otherwise as `newServiceCredential` and `ServiceCredentialStore.add` */
  mint(
    caller: OperatorCaller,
    namespaces: RequestedNamespaces,
    request: ServiceCredentialRequest,
  ): Promise<MintedServiceCredential>;
  /** @throws DomainError as `rotatedServiceCredential` and `newRotation` */
  rotate(
    caller: OperatorCaller,
    serviceCredentialId: Id<"svc">,
    graceSecs: number | undefined,
  ): Promise<RotatedServiceCredential>;
  revoke(
    caller: OperatorCaller,
    serviceCredentialId: Id<"svc">,
    reason: string | undefined,
  ): Promise<ServiceCredential>;
}

export interface ServiceCredentialLifecycleDependencies {
  readonly serviceCredentials: ServiceCredentialStore;
  readonly namespaces: Pick<NamespaceStore, "find">;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

export function createServiceCredentialLifecycle({
  serviceCredentials,
  namespaces,
  peppers,
  clock,
}: ServiceCredentialLifecycleDependencies): ServiceCredentialLifecycle {
  async function findNamespaces(
    caller: OperatorCaller,
    { namespaces: namesOrIds, allNamespaces }: RequestedNamespaces,
  ): Promise<readonly Id<"ns">[] | undefined> {
    if (allNamespaces === namesOrIds.length > 0) {
      throw invalidField("namespaces", "must list namespaces, or be left out with all_namespaces");
    }
    if (allNamespaces) {
      requireWholeNode(caller);
      return undefined;
    }
    const ids = new Set<Id<"ns">>();
    for (const nameOrId of namesOrIds) {
      const namespace = await namespaces.find(reachOf(caller), nameOrId);
      if (namespace === undefined || namespace.deletedAt !== undefined) throw notFound();
      ids.add(namespace.id);
    }
    return [...ids].toSorted();
  }

  return {
    async mint(caller, requested, request) {
      const namespaceIds = await findNamespaces(caller, requested);
      const { token, prefix, secret } = newToken("service", peppers);
      const binding = { accountId: caller.accountId, namespaceIds };
      const service = newServiceCredential(binding, request, prefix, clock());
      await serviceCredentials.add(caller, service, secret);
      return { service, token };
    },

    async rotate(caller, serviceCredentialId, graceSecs) {
      const now = clock();
      const { token, prefix, rotation } = newRotation("service", peppers, graceSecs, now);
      const service = await serviceCredentials.change(caller, serviceCredentialId, (before) => ({
        service: rotatedServiceCredential(before, prefix, now),
        rotation,
      }));
      if (service === undefined) throw notFound();
      return { service, token, graceEndsAt: rotation.graceEndsAt };
    },

    async revoke(caller, serviceCredentialId, reason) {
      const service = await serviceCredentials.change(caller, serviceCredentialId, (before) => ({
        service: revokedServiceCredential(before, reason, clock()),
      }));
      if (service === undefined) throw notFound();
      return service;
    },
  };
}
