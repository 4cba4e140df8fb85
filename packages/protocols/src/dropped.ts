import { Untranslatable } from "./untranslatable.ts";

/** Maximum number of different members that are dropped from one request. */
const MAX_NAMES = 32;

/**
 * Names of members that are left out because the client loses nothing. An index is not part of a name, so the hints of a hundred messages
 * have one name: `messages[].cache_control`.
 */
export class Dropped {
  readonly #names = new Set<string>();

  get names(): readonly string[] {
    return [...this.#names];
  }

  /** @throws Untranslatable if a name cannot be sent in a header */
  add(path: string): void {
    const name = path.replace(/\[\d+\]/g, "[]");
    if (!/^[\w.[\]-]{1,120}$/.test(name)) throw new Untranslatable(path, "is not supported by the model's upstream");
    this.#names.add(name);
    if (this.#names.size > MAX_NAMES) throw new Untranslatable(path, "is one unsupported member too many");
  }
}
