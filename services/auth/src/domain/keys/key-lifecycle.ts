import type { Peppers } from "@routeplane/credentials";
import { type Clock, type Id, invalidField, notFound } from "@routeplane/domain";
import { lastOf, scopesOf } from "../grant-rules.ts";
import { reachOf } from "../namespaces/account.ts";
import type { OperatorCaller } from "../operators/operator.ts";
import type { BindLimits, LimitedKeyStore, KeyStore, NamespaceStore } from "../ports.ts";
import { newRotation } from "../rotation.ts";
import { newToken } from "../secret.ts";
import { requireWithinSession } from "../sessions/session-bound.ts";
import { type Key, type KeyCaller, type KeyLineage, type KeyRequest, newRootKey, newSubKey } from "./key.ts";
import { type KeyUpdate, requireKeyAuthority, revokedKey, rotatedKey, updatedKey } from "./key-change.ts";

/** A key and its new token, which exists nowhere else. */
export interface MintedKey {
  readonly key: Key;
  readonly token: string;
  /** Policy that holds its limits; undefined without limits of its own. */
  readonly limitsPolicyId?: Id<"pol">;
}

export interface RotatedKey extends Omit<MintedKey, "limitsPolicyId"> {
  /** First moment at which the replaced token is refused. */
  readonly graceEndsAt: Date;
}

/**
 * Mint, update, rotation and revocation of keys. The last three find the key in the caller's namespace, and throw NOT_FOUND for
 * any other and PERMISSION_DENIED as `requireKeyAuthority`.
 */
export interface KeyLifecycle {
  /**
   * @param bindLimits binds the limits of the key before it exists; undefined: it has none of its own
   * @throws DomainError as `newSubKey` and `BindLimits`
   */
  mintSubKey(parent: KeyCaller, request: KeyRequest, bindLimits?: BindLimits): Promise<MintedKey>;
  /** @throws DomainError as `NamespaceStore.find` and `newRootKey`; NOT_FOUND if there is no such namespace */
  mintRootKey(
    operator: OperatorCaller,
    namespaceNameOrId: string,
    request: KeyRequest,
    bindLimits?: BindLimits,
  ): Promise<MintedKey>;
  /** @throws DomainError as `updatedKey`; INVALID_ARGUMENT if there is nothing to change */
  update(caller: KeyCaller, keyId: Id<"key">, update: KeyUpdate): Promise<Key>;
  /** @throws DomainError as `rotatedKey` and `newRotation` */
  rotate(caller: KeyCaller, keyId: Id<"key">, graceSecs: number | undefined): Promise<RotatedKey>;
  revoke(caller: KeyCaller, keyId: Id<"key">, reason: string | undefined): Promise<Key>;
}

export interface KeyLifecycleDependencies {
  readonly keys: KeyStore;
  readonly limitedKeys: LimitedKeyStore;
  readonly namespaces: NamespaceStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

export function createKeyLifecycle({
  keys,
  limitedKeys,
  namespaces,
  peppers,
  clock,
}: KeyLifecycleDependencies): KeyLifecycle {
  return {
    async mintSubKey(caller, request, bindLimits) {
      const { token, prefix, secret } = newToken("key", peppers);
      const build = (parent: KeyLineage) => {
        const key = newSubKey(parent, request, prefix, clock());
        requireWithinSession(caller, key.scopes);
        return key;
      };
      if (bindLimits === undefined) return { key: await keys.addSubKey(caller, secret, build), token };
      const key = await limitedKeys.beginSubKey(caller, build);
      const limitsPolicyId = await bindLimits(key);
      await limitedKeys.completeSubKey(caller, key, secret);
      return { key, token, limitsPolicyId };
    },

    async mintRootKey(operator, namespaceNameOrId, request, bindLimits) {
      const namespace = await namespaces.find(reachOf(operator), namespaceNameOrId);
      if (namespace === undefined || namespace.deletedAt !== undefined) throw notFound();
      const { token, prefix, secret } = newToken("key", peppers);
      const key = newRootKey({ namespaceId: namespace.id, accountId: namespace.accountId }, request, prefix, clock());
      if (bindLimits === undefined) {
        await keys.addRootKey(operator, key, secret);
        return { key, token };
      }
      await limitedKeys.beginRootKey(key);
      const limitsPolicyId = await bindLimits(key);
      await limitedKeys.completeRootKey(operator, key, secret);
      return { key, token, limitsPolicyId };
    },

    async update(caller, keyId, update) {
      if (Object.keys(update).length === 0) throw invalidField("update_mask", "there is nothing to change");
      return change(caller, keyId, (lineage) => {
        requireKeyAuthority(caller, lastOf(lineage), "change");
        return { key: updatedKey(lineage, update, clock()) };
      });
    },

    async rotate(caller, keyId, graceSecs) {
      const now = clock();
      const { token, prefix, rotation } = newRotation("key", peppers, graceSecs, now);
      const key = await change(caller, keyId, (lineage) => {
        requireKeyAuthority(caller, lastOf(lineage), "rotate");
        requireWithinSession(caller, scopesOf(lineage));
        return { key: rotatedKey(lineage, prefix, now), rotation };
      });
      return { key, token, graceEndsAt: rotation.graceEndsAt };
    },

    revoke: (caller, keyId, reason) =>
      change(caller, keyId, (lineage) => {
        requireKeyAuthority(caller, lastOf(lineage), "change");
        return { key: revokedKey(lineage, reason, clock()) };
      }),
  };

  async function change(caller: KeyCaller, keyId: Id<"key">, decide: Parameters<KeyStore["change"]>[2]): Promise<Key> {
    const key = await keys.change(caller, keyId, decide);
    if (key === undefined) throw notFound();
    return key;
  }
}
