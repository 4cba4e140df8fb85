import type { AppliedGuardrail } from "../domain/ports/guardrail-directory.ts";
import type { CallingKey } from "../domain/ports/key-verifier.ts";

type Guardrails = readonly AppliedGuardrail[];
type NamespaceId = CallingKey["namespaceId"];
type KeyId = CallingKey["keyId"];

interface Entry {
  readonly guardrails: Guardrails;
  /** By the monotonic clock. */
  readonly until: number;
}

export interface GuardrailCacheOptions {
  /** Keys at most: the namespace that was not used for longest loses its key that was not used for longest. */
  readonly capacity: number;
  readonly monotonic: () => number;
}

/** However well the feed works: no answer is older. */
const LONGEST_MS = 30_000;

/** What applies to each key, until something changes in its namespace. */
export class GuardrailCache {
  readonly #options: GuardrailCacheOptions;
  /** Both in the order in which they were last used. */
  readonly #namespaces = new Map<NamespaceId, Map<KeyId, Entry>>();
  #size = 0;

  constructor(options: GuardrailCacheOptions) {
    this.#options = options;
  }

  find({ namespaceId, keyId }: Pick<CallingKey, "namespaceId" | "keyId">): Guardrails | undefined {
    const keys = this.#namespaces.get(namespaceId);
    const entry = keys?.get(keyId);
    if (keys === undefined || entry === undefined || this.#options.monotonic() >= entry.until) return undefined;
    this.#use(namespaceId, keys, keyId, entry);
    return entry.guardrails;
  }

  /** @param askedAt by the monotonic clock */
  keep({ namespaceId, keyId }: Pick<CallingKey, "namespaceId" | "keyId">, guardrails: Guardrails, askedAt: number) {
    const keys = this.#namespaces.get(namespaceId) ?? new Map<KeyId, Entry>();
    if (!keys.has(keyId)) this.#size++;
    this.#use(namespaceId, keys, keyId, { guardrails, until: askedAt + LONGEST_MS });
    if (this.#size > this.#options.capacity) this.#forgetOne();
  }

  drop(namespaceId: string): void {
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

  #forgetOne(): void {
    for (const [namespaceId, keys] of this.#namespaces) {
      for (const keyId of keys.keys()) {
        if (keys.size === 1) return this.drop(namespaceId);
        this.#size--;
        keys.delete(keyId);
        return;
      }
    }
  }
}
