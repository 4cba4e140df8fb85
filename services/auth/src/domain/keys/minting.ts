import type { Peppers } from "@routeplane/credentials";
import { type Clock, notFound } from "@routeplane/domain";
import type { KeyCaller } from "./key-change.ts";
import { type Key, type KeyRequest, newRootKey, newSubKey } from "./key.ts";
import { reachOf } from "../namespaces/account.ts";
import type { OperatorCaller } from "../operators/operator-lifecycle.ts";
import type { KeyStore, NodeStore } from "../ports.ts";
import { newSecret } from "../secret.ts";

/** A key and its new token, which exists nowhere else. */
export interface MintedKey {
  readonly key: Key;
  readonly token: string;
}

export interface Minting {
  /** @throws DomainError as `newSubKey` */
  mintSubKey(parent: KeyCaller, request: KeyRequest): Promise<MintedKey>;
  /** @throws DomainError as `findNamespace`, NOT_FOUND if there is no such namespace; INVALID_ARGUMENT as `newRootKey` */
  mintRootKey(operator: OperatorCaller, namespaceNameOrId: string, request: KeyRequest): Promise<MintedKey>;
}

export interface MintingDependencies {
  readonly keys: KeyStore;
  readonly nodes: NodeStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

export function createMinting({ keys, nodes, peppers, clock }: MintingDependencies): Minting {
  return {
    async mintSubKey(caller, request) {
      const { token, prefix, secret } = newSecret("key", peppers);
      const key = await keys.addSubKey(caller, secret, (parent) => newSubKey(parent, request, prefix, clock()));
      return { key, token };
    },
    async mintRootKey(operator, namespaceNameOrId, request) {
      const namespace = await nodes.findNamespace(reachOf(operator), namespaceNameOrId);
      if (namespace === undefined || namespace.deletedAt !== undefined) throw notFound();
      const { token, prefix, secret } = newSecret("key", peppers);
      const key = newRootKey({ namespaceId: namespace.id, accountId: namespace.accountId }, request, prefix, clock());
      await keys.addRootKey(operator, key, secret);
      return { key, token };
    },
  };
}
