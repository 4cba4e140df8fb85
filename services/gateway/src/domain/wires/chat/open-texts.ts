/** Bound of the texts that are open at a time: each takes memory. */
export const MAX_OPEN_TEXTS = 1_024;
/** Bound of the keys of all texts, which are kept, in characters: those of some 20,000 tool calls. */
const MAX_KEY_CHARS = 1_000_000;

/**
 * Texts of a stream that are open, by key. No event of a chat completion ends a tool call: where there are too many texts, the one
 * that had no piece for longest ends. A piece of it that came later could not be judged with those before it.
 */
export class OpenTexts<T> {
  readonly #open = new Map<string, T>();
  readonly #ended = new Set<string>();
  #keyChars = 0;

  /** All open texts; those whose last piece is oldest come first. */
  get all(): readonly T[] {
    return [...this.#open.values()];
  }

  /** True if a text may begin: it has not ended before, and its key can be kept. */
  mayBegin(key: string): boolean {
    return !this.#ended.has(key) && this.#keyChars + key.length <= MAX_KEY_CHARS;
  }

  /** Finds an open text that a piece has arrived for. */
  find(key: string): T | undefined {
    const text = this.#open.get(key);
    if (text === undefined) return undefined;
    this.#open.delete(key);
    this.#open.set(key, text);
    return text;
  }

  /** Begins a text. @returns the text that ends to make room for it */
  begin(key: string, text: T): T | undefined {
    this.#open.set(key, text);
    this.#keyChars += key.length;
    const [oldest] = this.#open;
    if (this.#open.size <= MAX_OPEN_TEXTS || oldest === undefined) return undefined;
    const [endedKey, ended] = oldest;
    this.#open.delete(endedKey);
    this.#ended.add(endedKey);
    return ended;
  }

  /** Forgets an open text: its next piece begins another one. */
  delete(key: string): void {
    this.#open.delete(key);
  }
}
