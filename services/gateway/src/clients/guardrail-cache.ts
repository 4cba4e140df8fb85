import {
  CACHE_SLOT_BYTES,
  type CachedSubject,
  type CacheEntry,
  MemoryBoundedCache,
  SUBJECT_BYTES,
  SubjectChanges,
} from "@routeplane/rpc";
import type { AppliedGuardrail } from "../domain/ports/guardrail-directory.ts";
import type { CallingKey } from "../domain/ports/key-verifier.ts";
import type { AppliedLimits } from "../domain/ports/limit-directory.ts";

type Guardrails = readonly AppliedGuardrail[];
type Caller = Pick<CallingKey, "namespaceId" | "keyId">;

/** Part of an answer of the policy service that the keys to which it applies share: their guardrails, or their limits. */
interface SharedPart extends CacheEntry {
  /** Undefined once it was evicted: it is then requested again for the keys that share it. */
  value: Guardrails | AppliedLimits | undefined;
}

/** Part of an answer that was just received. Its value holds for the call that received it, also if it is evicted at once. */
interface ReceivedPart<T extends Guardrails | AppliedLimits> {
  readonly value: T;
  readonly shared: SharedPart;
}

/** Answer that was just received. */
export interface ReceivedAnswer {
  readonly guardrails: ReceivedPart<Guardrails>;
  /** Absent: the service is of a release that does not list limits. */
  readonly limits: ReceivedPart<AppliedLimits> | undefined;
}

interface KeyEntry extends CacheEntry {
  readonly guardrails: SharedPart;
  readonly limits: SharedPart | undefined;
  readonly namespace: CachedSubject;
}

export interface GuardrailCacheOptions {
  /** Bound of the memory of the cache: half of it for keys, half for the answers that they share. */
  readonly maxBytes: number;
  /** Age in milliseconds from which the entry of a key is ignored, even while the change feed is live. */
  readonly maxAgeMs: number;
  readonly monotonic: () => number;
}

/** Memory of the entry of a key: its slot, a text of two ids, its fields, and the share of its namespace. */
const KEY_BYTES = CACHE_SLOT_BYTES + SUBJECT_BYTES + 240;

/** Memory of an answer: a part for its objects, and for each byte on the wire its text and the program that it compiles to. */
const ANSWER_BYTES = CACHE_SLOT_BYTES + 512;
const BYTES_PER_WIRE_BYTE = 8;

/**
 * Cache of the guardrails and limits of keys, bounded by memory, and invalidated by namespace in constant time.
 *
 * Equal answers are one array, however many keys they apply to: it is counted once, and kept for a while without keys, so that values
 * derived from it (compiled patterns) survive unrelated changes.
 */
export class GuardrailCache {
  readonly #options: GuardrailCacheOptions;
  readonly #keys: MemoryBoundedCache<string, KeyEntry>;
  readonly #parts: MemoryBoundedCache<string, SharedPart>;
  readonly #namespaces = new SubjectChanges();

  constructor(options: GuardrailCacheOptions) {
    this.#options = options;
    const maxBytes = options.maxBytes / 2;
    this.#keys = new MemoryBoundedCache({
      name: "guardrails",
      maxBytes,
      onRemove: (key) => this.#namespaces.release(key.namespace),
    });
    this.#parts = new MemoryBoundedCache({
      name: "guardrail_answers",
      maxBytes,
      onRemove: (part) => (part.value = undefined),
    });
  }

  /** Estimated memory of all entries. */
  get bytes(): number {
    return this.#keys.bytes + this.#parts.bytes;
  }

  /** Returns the guardrails of a key; undefined if they are not cached, are too old, or may have changed. */
  find(caller: Caller): Guardrails | undefined {
    const part = this.#keys.find(nameOf(caller), this.#options.monotonic(), isValid)?.guardrails;
    if (part === undefined) return undefined;
    part.isUsed = true;
    return part.value as Guardrails | undefined;
  }

  /** Returns the limits of a key, as `find` does; undefined also if the service does not list them. */
  findLimits(caller: Caller): AppliedLimits | undefined {
    const part = this.#keys.find(nameOf(caller), this.#options.monotonic(), isValid)?.limits;
    if (part === undefined) return undefined;
    part.isUsed = true;
    return part.value as AppliedLimits | undefined;
  }

  /**
   * Shares a part of an answer: returns an equal earlier one, or that of `make`.
   *
   * @param digest equal for equal parts of one kind, and for no others
   * @param wireBytes size of the part as it was received
   */
  share<T extends Guardrails | AppliedLimits>(digest: string, wireBytes: number, make: () => T): ReceivedPart<T> {
    const earlier = this.#parts.find(digest, this.#options.monotonic());
    if (earlier?.value !== undefined) return { value: earlier.value as T, shared: earlier };
    const value = make();
    const bytes = ANSWER_BYTES + wireBytes * BYTES_PER_WIRE_BYTE;
    const shared: SharedPart = { value, bytes, expiresAt: Infinity, isUsed: false };
    this.#parts.put(digest, shared);
    return { value, shared };
  }

  /** @param requestedAt monotonic time at which the guardrails were requested */
  put(caller: Caller, { guardrails, limits }: ReceivedAnswer, requestedAt: number): void {
    const namespace = this.#namespaces.acquire(caller.namespaceId);
    const expiresAt = requestedAt + this.#options.maxAgeMs;
    const parts = { guardrails: guardrails.shared, limits: limits?.shared };
    this.#keys.put(nameOf(caller), { ...parts, namespace, bytes: KEY_BYTES, expiresAt, isUsed: false });
  }

  invalidateNamespace(namespaceId: string): void {
    this.#namespaces.markChanged(namespaceId);
  }

  /** Forgets what applies to keys. Answers stay, to be shared again. */
  clear(): void {
    this.#keys.clear();
  }
}

function isValid({ guardrails, limits, namespace }: KeyEntry): boolean {
  return (
    !namespace.hasChanged && guardrails.value !== undefined && (limits === undefined || limits.value !== undefined)
  );
}

function nameOf({ namespaceId, keyId }: Caller): string {
  return `${namespaceId} ${keyId}`;
}
