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

type Guardrails = readonly AppliedGuardrail[];
type Caller = Pick<CallingKey, "namespaceId" | "keyId">;

/** Answer of the policy service that the keys to which it applies share. */
interface SharedAnswer extends CacheEntry {
  /** Undefined once it was evicted: keys that share it are asked for again. */
  guardrails: Guardrails | undefined;
}

/** Answer that was just received. Its guardrails hold for the call that received them, also if it is evicted at once. */
interface ReceivedAnswer {
  readonly guardrails: Guardrails;
  readonly shared: SharedAnswer;
}

interface KeyEntry extends CacheEntry {
  readonly answer: SharedAnswer;
  readonly namespace: CachedSubject;
}

export interface GuardrailCacheOptions {
  /** Bound of the memory of the cache: half of it for keys, half for what applies to them. */
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
 * Cache of the guardrails of keys, bounded by memory, and invalidated by namespace in constant time.
 *
 * Equal answers are one array, however many keys they apply to: it is counted once, and lives on for a while without keys, so that
 * what is derived from it (compiled patterns) survives a change of something else.
 */
export class GuardrailCache {
  readonly #options: GuardrailCacheOptions;
  readonly #keys: MemoryBoundedCache<string, KeyEntry>;
  readonly #answers: MemoryBoundedCache<string, SharedAnswer>;
  readonly #namespaces = new SubjectChanges();

  constructor(options: GuardrailCacheOptions) {
    this.#options = options;
    const maxBytes = options.maxBytes / 2;
    this.#keys = new MemoryBoundedCache({
      name: "guardrails",
      maxBytes,
      onRemove: (key) => this.#namespaces.release(key.namespace),
    });
    this.#answers = new MemoryBoundedCache({
      name: "guardrail_answers",
      maxBytes,
      onRemove: (answer) => (answer.guardrails = undefined),
    });
  }

  /** Estimated memory of all entries. */
  get bytes(): number {
    return this.#keys.bytes + this.#answers.bytes;
  }

  /** Returns the guardrails of a key; undefined if they are not cached, are too old, or may have changed. */
  find(caller: Caller): Guardrails | undefined {
    const answer = this.#keys.find(nameOf(caller), this.#options.monotonic(), isValid)?.answer;
    if (answer === undefined) return undefined;
    answer.isUsed = true;
    return answer.guardrails;
  }

  /**
   * Shares an answer: returns an equal earlier one, or that of `make`.
   *
   * @param digest equal for equal answers
   * @param wireBytes size of the answer as it was received
   */
  share(digest: string, wireBytes: number, make: () => Guardrails): ReceivedAnswer {
    const earlier = this.#answers.find(digest, this.#options.monotonic());
    if (earlier?.guardrails !== undefined) return { guardrails: earlier.guardrails, shared: earlier };
    const guardrails = make();
    const bytes = ANSWER_BYTES + wireBytes * BYTES_PER_WIRE_BYTE;
    const shared: SharedAnswer = { guardrails, bytes, expiresAt: Infinity, isUsed: false };
    this.#answers.put(digest, shared);
    return { guardrails, shared };
  }

  /** @param requestedAt monotonic time at which the guardrails were requested */
  put(caller: Caller, { shared: answer }: ReceivedAnswer, requestedAt: number): void {
    const namespace = this.#namespaces.acquire(caller.namespaceId);
    const expiresAt = requestedAt + this.#options.maxAgeMs;
    this.#keys.put(nameOf(caller), { answer, namespace, bytes: KEY_BYTES, expiresAt, isUsed: false });
  }

  invalidateNamespace(namespaceId: string): void {
    this.#namespaces.markChanged(namespaceId);
  }

  /** Forgets what applies to keys. Answers stay, to be shared again. */
  clear(): void {
    this.#keys.clear();
  }
}

function isValid({ answer, namespace }: KeyEntry): boolean {
  return !namespace.hasChanged && answer.guardrails !== undefined;
}

function nameOf({ namespaceId, keyId }: Caller): string {
  return `${namespaceId} ${keyId}`;
}
