import type { Session } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import type { Source } from "./jetstream-consumer.ts";
import { Pull } from "./pull.ts";

/** Upper bound of the bytes of a batch, unless one message alone is larger: about 5,000 events. */
const MAX_BATCH_BYTES = 1.5 * 1024 ** 2;

/**
 * Pulls of several sources whose messages are handled as batches. A batch is filled from one source before the next, each time
 * beginning with another one: with much to do it is of one partition, and so of few namespaces; with little, of all.
 */
export class SourcePulls {
  readonly #session: Session;
  readonly #batch: number;
  readonly #pulls = new Map<Source, Pull>();
  #next = 0;
  #changed = Promise.withResolvers<void>();

  constructor(session: Session, batch: number) {
    this.#session = session;
    this.#batch = batch;
  }

  /** Starts and stops pulls so that these sources are pulled, and no others. */
  set(sources: readonly Source[]): void {
    for (const [source, pull] of this.#pulls) {
      if (sources.includes(source)) continue;
      pull.stop();
      this.#pulls.delete(source);
    }
    for (const source of sources) {
      if (this.#pulls.has(source)) continue;
      this.#pulls.set(source, new Pull(this.#session, source, this.#batch, () => this.wake()));
    }
  }

  /**
   * Takes the messages of one batch: those that are buffered, or the first to arrive. Empty after `wake`.
   *
   * @throws Error as `Pull.take`
   */
  async take(): Promise<readonly Delivery[]> {
    const taken = this.#takeBuffered();
    if (taken.length > 0) return taken;
    await this.#changed.promise;
    this.#changed = Promise.withResolvers<void>();
    return this.#takeBuffered();
  }

  /** Ends a `take` that waits. */
  wake(): void {
    this.#changed.resolve();
  }

  /** Ends all pulls, and returns the messages that were not taken to the server. */
  stop(): void {
    this.set([]);
  }

  #takeBuffered(): readonly Delivery[] {
    const pulls = [...this.#pulls.values()];
    const first = this.#next++ % Math.max(pulls.length, 1);
    const taken: Delivery[] = [];
    let leftBytes = MAX_BATCH_BYTES;
    for (const pull of [...pulls.slice(first), ...pulls.slice(0, first)]) {
      if (taken.length >= this.#batch || leftBytes <= 0) break;
      const more = pull.take(this.#batch - taken.length, leftBytes);
      leftBytes -= more.reduce((sum, { payload }) => sum + payload.length, 0);
      taken.push(...more);
    }
    return taken;
  }
}
