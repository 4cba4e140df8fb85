import type { Refusal } from "../errors/refusal.ts";
import type { SseEvent } from "../wire/sse.ts";
import type { StreamGuard } from "../wires/answer-format.ts";
import type { ClientStream } from "./client-stream.ts";

/** Bound of the comments that wait for the first event. */
const MAX_HELD_BYTES = 16 * 1024;

/**
 * Client's stream behind the guardrails that apply to the answer. Comments before the first event with data wait for it, so that a failure
 * of the upstream after a few of them can still be answered with its HTTP status.
 */
export class GuardedStream {
  readonly #client: ClientStream;
  readonly #guard: StreamGuard | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #hasData = false;

  /** @param guard undefined if every byte passes */
  constructor(client: ClientStream, guard: StreamGuard | undefined) {
    this.#client = client;
    this.#guard = guard;
  }

  /** Refusal of a guardrail, after which nothing leaves; undefined as long as the stream passes. */
  get refusal(): Refusal | undefined {
    return this.#guard?.refusal;
  }

  /**
   * Passes events on as far as the guardrails let them.
   *
   * @returns undefined if they have left
   * @throws Error if the request was cancelled
   */
  pass(events: readonly SseEvent[]): Promise<void> | undefined {
    if (this.#guard !== undefined) return this.#passGuarded(events, this.#guard);
    const bytes = events.map(({ raw }) => raw);
    return this.#write(bytes, events.some(hasData));
  }

  async #passGuarded(events: readonly SseEvent[], guard: StreamGuard): Promise<void> {
    for (const event of events) await this.#write(await guard.pass(event), hasData(event));
    await this.#sendRefusal();
  }

  /** Passes on what the guardrails held back. Called at the end of the stream, however it came. */
  async flush(): Promise<void> {
    if (this.#guard === undefined) return;
    try {
      await this.#write(this.#guard.flush(), true);
    } catch {
      // The client has gone: the refusal, if there is one, is still recorded.
    }
    await this.#sendRefusal();
  }

  #write(bytes: readonly Buffer[], isOfData: boolean): Promise<void> | undefined {
    this.#hasData ||= isOfData;
    if (this.#hasData || this.#client.hasBegun) {
      if (this.#held.length === 0) return this.#client.write(bytes);
      const held = this.#held;
      this.#held = [];
      return this.#client.write([...held, ...bytes]);
    }
    for (const each of bytes) {
      this.#heldBytes += each.length;
      if (this.#heldBytes <= MAX_HELD_BYTES) this.#held.push(each);
    }
    return undefined;
  }

  /** Sends the client the refusal at once: the upstream is read to its end, because it reports its usage there. */
  async #sendRefusal(): Promise<void> {
    if (this.refusal !== undefined && this.#client.hasBegun) await this.#client.endRefused(this.refusal);
  }
}

function hasData({ data }: SseEvent): boolean {
  return data !== undefined;
}
