import type { Peppers } from "@routeplane/credentials";
import { type Clock, type Id, invalidField, notFound } from "@routeplane/domain";
import type { Key } from "./key.ts";
import {
  type KeyCaller,
  graceMs,
  type KeyUpdate,
  requireKeyAuthority,
  revokedKey,
  rotatedKey,
  updatedKey,
} from "./key-change.ts";
import { lastOf } from "../grant-rules.ts";
import type { KeyStore } from "../ports.ts";
import { newSecret } from "../secret.ts";

/** A key under its new token, which exists nowhere else. */
export interface RotatedKey {
  readonly key: Key;
  readonly token: string;
  /** First moment at which the token that it had is refused. */
  readonly graceEndsAt: Date;
}

/** Each finds the key in the caller's namespace. @throws DomainError NOT_FOUND, and PERMISSION_DENIED as `requireReach` */
export interface KeyLifecycle {
  /** @throws DomainError as `updatedKey`; INVALID_ARGUMENT if there is nothing to change */
  update(caller: KeyCaller, keyId: Id<"key">, update: KeyUpdate): Promise<Key>;
  /** @throws DomainError as `rotatedKey` and `graceMs` */
  rotate(caller: KeyCaller, keyId: Id<"key">, graceSecs: number | undefined): Promise<RotatedKey>;
  revoke(caller: KeyCaller, keyId: Id<"key">, reason: string | undefined): Promise<Key>;
}

export interface KeyLifecycleDependencies {
  readonly keys: KeyStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

export function createKeyLifecycle({ keys, peppers, clock }: KeyLifecycleDependencies): KeyLifecycle {
  return {
    async update(caller, keyId, update) {
      if (Object.keys(update).length === 0) throw invalidField("update_mask", "there is nothing to change");
      return change(caller, keyId, (lineage) => {
        requireKeyAuthority(caller, lastOf(lineage), "change");
        return { key: updatedKey(lineage, update, clock()) };
      });
    },

    async rotate(caller, keyId, graceSecs) {
      const grace = graceMs(graceSecs);
      const { token, prefix, secret } = newSecret("key", peppers);
      const now = clock();
      const graceEndsAt = new Date(now + grace);
      const key = await change(caller, keyId, (lineage) => {
        requireKeyAuthority(caller, lastOf(lineage), "rotate");
        // Without grace, nothing but the new token is to work: neither what an earlier rotation left.
        return { key: rotatedKey(lineage, prefix, now), rotation: { secret, graceEndsAt, endsAll: grace === 0 } };
      });
      return { key, token, graceEndsAt };
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
