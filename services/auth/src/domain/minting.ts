import type { Peppers } from "@routeplane/credentials";
import { type Clock, type Id, notFound } from "@routeplane/domain";
import { type Key, type KeyRequest, newRootKey, newSubKey } from "./key.ts";
import type { KeyStore, NodeStore } from "./ports.ts";
import { newKeySecret } from "./secret.ts";

/** A key and its new token, which exists nowhere else. */
export interface MintedKey {
  readonly key: Key;
  readonly token: string;
}

export interface Minting {
  /** @throws DomainError as `newSubKey` */
  mintSubKey(parent: { namespaceId: Id<"ns">; keyId: Id<"key"> }, request: KeyRequest): Promise<MintedKey>;
  /** @throws DomainError NOT_FOUND if the account has no such namespace; INVALID_ARGUMENT as `newRootKey` */
  mintRootKey(accountId: Id<"acc">, namespaceNameOrId: string, request: KeyRequest): Promise<MintedKey>;
}

export interface MintingDependencies {
  readonly keys: KeyStore;
  readonly nodes: NodeStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

export function createMinting({ keys, nodes, peppers, clock }: MintingDependencies): Minting {
  return {
    async mintSubKey({ namespaceId, keyId }, request) {
      const { token, prefix, secret } = newKeySecret(peppers);
      const key = await keys.addSubKey(namespaceId, keyId, secret, (parent) =>
        newSubKey(parent, request, prefix, clock()),
      );
      return { key, token };
    },
    async mintRootKey(accountId, namespaceNameOrId, request) {
      const namespace = await nodes.findNamespace(accountId, namespaceNameOrId);
      if (namespace === undefined || namespace.deletedAt !== undefined) throw notFound();
      const { token, prefix, secret } = newKeySecret(peppers);
      const key = newRootKey({ namespaceId: namespace.id, accountId }, request, prefix, clock());
      await keys.addRootKey(key, secret);
      return { key, token };
    },
  };
}
