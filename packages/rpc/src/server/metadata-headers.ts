import type { Metadata } from "@grpc/grpc-js";

/**
 * Headers of a call over gRPC, as interceptors and handlers take them, over the texts of its metadata. The platform's own `Headers`
 * checks and copies every name and value, which grpc-js has done already: it took a tenth of the CPU time of a small call.
 */
export class MetadataHeaders implements Headers {
  /** Values keyed by name in lower case. */
  readonly #values = new Map<string, string>();

  /** Headers with the texts of the metadata; its binary entries are left out. */
  static of(metadata: Metadata): MetadataHeaders {
    const headers = new MetadataHeaders();
    for (const [name, value] of Object.entries(metadata.getMap())) {
      if (typeof value === "string") headers.#values.set(name, value);
    }
    return headers;
  }

  append(name: string, value: string): void {
    const existing = this.get(name);
    this.set(name, existing === null ? value : `${existing}, ${value}`);
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  set(name: string, value: string): void {
    this.#values.set(name.toLowerCase(), value);
  }

  getSetCookie(): string[] {
    const cookie = this.get("set-cookie");
    return cookie === null ? [] : [cookie];
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this) callback(value, name, this);
  }

  entries() {
    return this.#values.entries();
  }

  keys() {
    return this.#values.keys();
  }

  values() {
    return this.#values.values();
  }

  [Symbol.iterator]() {
    return this.#values.entries();
  }
}
