import type { ChangeWatch } from "@routeplane/rpc";
import type { KeyDirectory, KnownKey } from "../domain/ports.ts";

/** Maximum number of keys; the one that was read first is dropped first. */
const MAX_KEYS = 10_000;

interface CachedKey {
  readonly key: KnownKey;
  /** Number of the last change that was known before the key was read. */
  readonly sequence: bigint;
}

/**
 * Creates a key directory that caches keys until anything changes in the auth service. Changes are much rarer than admissions: minting or
 * using a key is not one. While the change feed is not live, it caches nothing and reads every key.
 */
export function cachedKeyDirectory(
  keys: KeyDirectory,
  feed: Pick<ChangeWatch, "isLive" | "lastSequence">,
): KeyDirectory {
  const cached = new Map<string, CachedKey>();
  return {
    async find(namespaceId, keyId) {
      const name = `${namespaceId} ${keyId}`;
      const sequence = feed.lastSequence();
      const isLive = feed.isLive();
      const known = cached.get(name);
      if (isLive && known?.sequence === sequence) return known.key;
      cached.delete(name);
      const key = await keys.find(namespaceId, keyId);
      if (key === undefined || !isLive) return key;
      cached.set(name, { key, sequence });
      if (cached.size > MAX_KEYS) dropFirst(cached);
      return key;
    },
  };
}

function dropFirst(cached: Map<string, CachedKey>): void {
  for (const name of cached.keys()) {
    cached.delete(name);
    return;
  }
}
