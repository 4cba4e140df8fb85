import { counter, gauge } from "@routeplane/runtime";

/** Names of the caches that have metrics: a fixed list, because they are values of a label. */
export type CacheName = "keys" | "refused_keys" | "guardrails" | "guardrail_answers";

type ObservedCache = Readonly<Record<"size" | "bytes" | "maxBytes", number>>;

/** Caches of this process by name. A later cache replaces an earlier one of the same name. */
const named = new Map<CacheName, ObservedCache>();

const lookups = counter({
  name: "routeplane_cache_lookups_total",
  help: "Look-ups in a cache. An entry that expired or may have changed is a miss.",
  labels: ["cache", "result"],
});
const evictions = counter({
  name: "routeplane_cache_evictions_total",
  help: "Entries that left a cache because it was full.",
  labels: ["cache"],
});
const observed = [
  ["entries", "Entries of a cache.", ({ size }) => size],
  ["bytes", "Estimated memory of the entries of a cache.", ({ bytes }) => bytes],
  ["max_bytes", "Bound of the memory of a cache.", ({ maxBytes }) => maxBytes],
] as const satisfies readonly (readonly [string, string, (cache: ObservedCache) => number])[];
for (const [suffix, help, valueOf] of observed) {
  gauge({
    name: `routeplane_cache_${suffix}`,
    help,
    labels: ["cache"],
    read: () => [...named].map(([cache, instance]) => ({ labels: { cache }, value: valueOf(instance) })),
  });
}

/** Entry of a `MemoryBoundedCache`. The cache sets `isUsed`; everything else is fixed once the entry is put. */
export interface CacheEntry {
  /** Estimated memory of the entry and its key, including `CACHE_SLOT_BYTES`. */
  readonly bytes: number;
  /** Monotonic time from which the entry is no longer found. */
  readonly expiresAt: number;
  /** True if it was found since the hand last passed it. */
  isUsed: boolean;
}

export interface MemoryBoundedCacheOptions<Entry> {
  /** Bound of the bytes of all entries. An entry that is larger by itself is not kept. */
  readonly maxBytes: number;
  /** Name in metrics; undefined: it has none. */
  readonly name?: CacheName;
  /** Called for each entry that leaves the cache, for whatever reason. */
  readonly onRemove?: (entry: Entry) => void;
}

/** Memory of a key's slot in the map and of the fields of `CacheEntry`. */
export const CACHE_SLOT_BYTES = 112;

/** Maximum number of used entries that one eviction skips, so that no call searches the whole cache. */
const MAX_SPARED = 1_000;

/**
 * Cache that is bounded by the memory of its entries, and evicts by the CLOCK algorithm: a hand goes round over the entries, gives
 * each one that was used since its last pass a second chance, and evicts the others. So a hit only sets a flag and reorders nothing.
 */
export class MemoryBoundedCache<Key, Entry extends CacheEntry> {
  /** Bound of the bytes of all entries. */
  readonly maxBytes: number;
  readonly #counts: ReturnType<typeof countsOf> | undefined;
  readonly #onRemove: ((entry: Entry) => void) | undefined;
  readonly #entries = new Map<Key, Entry>();
  /** The hand. An iterator that stays valid while entries are added and deleted. */
  #hand = this.#entries.entries();
  #bytes = 0;

  constructor({ maxBytes, name, onRemove }: MemoryBoundedCacheOptions<Entry>) {
    this.maxBytes = maxBytes;
    this.#onRemove = onRemove;
    this.#counts = name && countsOf(name);
    if (name !== undefined) named.set(name, this);
  }

  /** Estimated memory of all entries. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Returns the entry of a key, and counts it as used. One that has expired, or that `isValid` refuses, is removed.
   *
   * @param isValid true by default
   */
  find(key: Key, now: number, isValid?: (entry: Entry) => boolean): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined && now < entry.expiresAt && (isValid === undefined || isValid(entry))) {
      entry.isUsed = true;
      this.#counts?.hits.inc();
      return entry;
    }
    this.#counts?.misses.inc();
    if (entry !== undefined) this.delete(key);
    return undefined;
  }

  /** Puts an entry in place of an earlier one, and evicts others until all are within the bound. */
  put(key: Key, entry: Entry): void {
    this.delete(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    let spared = 0;
    while (this.#bytes > this.maxBytes) {
      const next = this.#hand.next();
      if (next.done === true) {
        this.#hand = this.#entries.entries();
        continue;
      }
      const [oldKey, old] = next.value;
      if (old.isUsed && spared < MAX_SPARED) {
        old.isUsed = false;
        spared++;
      } else {
        this.delete(oldKey);
        this.#counts?.evictions.inc();
      }
    }
  }

  delete(key: Key): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    this.#onRemove?.(entry);
  }

  clear(): void {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#hand = this.#entries.entries();
    this.#bytes = 0;
    for (const entry of entries) this.#onRemove?.(entry);
  }
}

/** Counters of one cache, looked up once: counting is then as cheap as an addition. */
function countsOf(cache: CacheName) {
  return {
    hits: lookups.series({ cache, result: "hit" }),
    misses: lookups.series({ cache, result: "miss" }),
    evictions: evictions.series({ cache }),
  };
}
