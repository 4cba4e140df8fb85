import type { Upstream } from "./ports/upstream.ts";
import type { ModelDirectory } from "./request/model-directory.ts";

/** Providers as they are served now. A reload replaces the set as a whole. */
export interface ServedProviders {
  readonly current: ProviderSet;
}

/**
 * Providers of one load of the configuration: their models and upstreams. Requests that began with a set end with it, and its
 * upstreams stay open until they have.
 */
export class ProviderSet {
  readonly directory: ModelDirectory;
  /** Upstreams, keyed by provider name. */
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly loadedAt: Date;
  #requests = 0;
  readonly #unused = Promise.withResolvers<void>();
  #isRetired = false;

  constructor(directory: ModelDirectory, upstreams: ReadonlyMap<string, Upstream>, loadedAt: Date) {
    this.directory = directory;
    this.upstreams = upstreams;
    this.loadedAt = loadedAt;
  }

  /** Keeps the upstreams open until `release` is called. */
  acquire(): void {
    this.#requests++;
  }

  release(): void {
    this.#requests--;
    this.#endUnlessUsed();
  }

  /** Closes the upstreams once no request uses the set any more. No request may begin with it after this. */
  async retire(): Promise<void> {
    this.#isRetired = true;
    this.#endUnlessUsed();
    await this.#unused.promise;
    await this.close();
  }

  /** Closes the upstreams at once. */
  async close(): Promise<void> {
    await Promise.all([...this.upstreams.values()].map((upstream) => upstream.close()));
  }

  #endUnlessUsed(): void {
    if (this.#isRetired && this.#requests === 0) this.#unused.resolve();
  }
}
