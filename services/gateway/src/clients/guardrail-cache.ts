import type { AppliedGuardrail } from "../domain/ports/guardrail-directory.ts";
import type { CallingKey } from "../domain/ports/key-verifier.ts";

type Guardrails = readonly AppliedGuardrail[];
type NamespaceId = CallingKey["namespaceId"];
type KeyId = CallingKey["keyId"];

/** Guardrails of one key. */
interface Entry {
  readonly guardrails: Guardrails;
  /** Monotonic time from which the entry is ignored. */
  readonly expiresAt: number;
}

export interface GuardrailCacheOptions {
  /** Maximum number of keys. Beyond it the least recently used namespace loses its least recently used key. */
  readonly capacity: number;
  readonly monotonic: () => number;
}

/** Age from which an entry is ignored, even while the change feed is live. */
const MAX_AGE_MS = 30_000;

/** Least-recently-used cache of the guardrails of keys, invalidated by namespace. */
export class GuardrailCache {
  readonly #options: GuardrailCacheOptions;
  /** Namespaces and, in each, keys, least recently used first. */
  readonly #namespaces = new Map<NamespaceId, Map<KeyId, Entry>>();
  #size = 0;

  constructor(options: GuardrailCacheOptions) {
    this.#options = options;
  }

  /** Returns the guardrails of a key; undefined if there is no entry or it is too old. */
  find({ namespaceId, keyId }: Pick<CallingKey, "namespaceId" | "keyId">): Guardrails | undefined {
    const keys = this.#namespaces.get(namespaceId);
    const entry = keys?.get(keyId);
    if (keys === undefined || entry === undefined || this.#options.monotonic() >= entry.expiresAt) return undefined;
    this.#use(namespaceId, keys, keyId, entry);
    return entry.guardrails;
  }

  /** @param requestedAt monotonic time at which the guardrails were requested */
  put({ namespaceId, keyId }: Pick<CallingKey, "namespaceId" | "keyId">, guardrails: Guardrails, requestedAt: number) {
    const keys = this.#namespaces.get(namespaceId) ?? new Map<KeyId, Entry>();
    if (!keys.has(keyId)) this.#size++;
    this.#use(namespaceId, keys, keyId, { guardrails, expiresAt: requestedAt + MAX_AGE_MS });
    if (this.#size > this.#options.capacity) this.#evictOldest();
  }

  deleteNamespace(namespaceId: string): void {
    const keys = this.#namespaces.get(namespaceId as NamespaceId);
    this.#size -= keys?.size ?? 0;
    this.#namespaces.delete(namespaceId as NamespaceId);
  }

  clear(): void {
    this.#namespaces.clear();
    this.#size = 0;
  }

  #use(namespaceId: NamespaceId, keys: Map<KeyId, Entry>, keyId: KeyId, entry: Entry): void {
    keys.delete(keyId);
    keys.set(keyId, entry);
    this.#namespaces.delete(namespaceId);
    this.#namespaces.set(namespaceId, keys);
  }

  #evictOldest(): void {
    for (const [namespaceId, keys] of this.#namespaces) {
      for (const keyId of keys.keys()) {
        if (keys.size === 1) return this.deleteNamespace(namespaceId);
        this.#size--;
        keys.delete(keyId);
        return;
      }
    }
  }
}
