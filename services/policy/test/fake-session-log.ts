import type { Id } from "@routeplane/domain";
import type { Position, SessionLog, SessionRequest } from "../src/domain/sessions/endings.ts";

interface Event {
  readonly namespaceId: Id<"ns">;
  readonly sessionId: Id<"gws">;
  readonly request: SessionRequest;
}

/** Fake of the usage log: a stream of events, and the rows recorded from it so far. */
export class FakeSessionLog implements SessionLog {
  readonly #stream: Event[] = [];
  readonly #rows = new Map<string, Event>();
  /** Length of the stream at each position. */
  readonly #lengths: number[] = [];
  readonly #deadLetters: Event[] = [];
  /** Ids of the requests with an event that was a dead letter at some time. */
  readonly wereDeadLetters = new Set<string>();
  #consumed = 0;
  #willHoldBack = false;

  publish(namespaceId: Id<"ns">, sessionId: Id<"gws">, request: SessionRequest): void {
    this.#stream.push({ namespaceId, sessionId, request });
  }

  /** Records up to `count` events, as rows or, after `holdBackNext`, as a dead letter. */
  consume(count: number): void {
    for (let left = count; left > 0 && this.#consumed < this.#stream.length; left--) {
      const event = this.#stream[this.#consumed++];
      if (event === undefined) return;
      if (this.#willHoldBack) {
        this.#deadLetters.push(event);
        this.wereDeadLetters.add(event.request.requestId);
      } else this.#record(event);
      this.#willHoldBack = false;
    }
  }

  /** Makes a dead letter of the next event. */
  holdBackNext(): void {
    this.#willHoldBack = true;
  }

  /** Replays all dead letters. */
  replay(): void {
    this.#willHoldBack = false;
    for (const event of this.#deadLetters.splice(0)) this.#record(event);
  }

  position(): Promise<Position> {
    const now = BigInt(this.#lengths.push(this.#stream.length));
    const consumed = this.#lengths.findLastIndex((length) => length <= this.#consumed);
    return Promise.resolve({ now, consumed: BigInt(consumed + 1) });
  }

  async *pages(namespaceId: Id<"ns">, sessionId: Id<"gws">): AsyncIterable<readonly SessionRequest[]> {
    const mine = [...this.#rows.values()].filter(
      (row) => row.namespaceId === namespaceId && row.sessionId === sessionId,
    );
    const requests = mine.map(({ request }) => request);
    for (let first = 0; first < requests.length; first += 3) yield requests.slice(first, first + 3);
  }

  #record(event: Event): void {
    const known = this.#rows.get(event.request.requestId);
    if (known === undefined || known.request.end === undefined) this.#rows.set(event.request.requestId, event);
  }
}
