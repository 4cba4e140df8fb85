import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type OpenMessage, PostponedEvents } from "./postponed-events.ts";

/** Event of a test: `a+` is the first of request a, `a-` the last; others never wait. */
type Event = string;

function placeOf(event: Event) {
  if (!/^\w+[+-]$/.test(event)) return undefined;
  return { request: event.slice(0, -1), place: event.endsWith("+") ? "first" : "last" } as const;
}

function setUp() {
  const clock = { now: 0 };
  const postponed = new PostponedEvents<Event>(placeOf, () => clock.now);
  const acknowledged: number[] = [];
  const message = (sequence: number, events: readonly Event[], attempt = 1): OpenMessage<Event> => ({
    delivery: { sequence, attempt, payload: Buffer.of(), ack: () => void acknowledged.push(sequence), nak: () => {} },
    events,
  });
  /** Takes a batch and has it handled. @returns its events */
  const handle = (messages: readonly OpenMessage<Event>[], mayWait = true): readonly Event[] => {
    const batch = postponed.take(messages, mayWait);
    postponed.acknowledge(batch);
    return batch.events;
  };
  return { clock, postponed, acknowledged, message, handle };
}

describe("PostponedEvents", () => {
  test("handles the first event of a request together with the last one", () => {
    const { handle, message, acknowledged, postponed } = setUp();
    expect(handle([message(1, ["a+"])])).toEqual([]);
    expect([acknowledged, postponed.size]).toEqual([[], 1]);
    expect(handle([message(2, ["a-"])])).toEqual(["a+", "a-"]);
    expect([acknowledged, postponed.size, postponed.dueInMs()]).toEqual([[2, 1], 0, undefined]);
  });

  test("delays no other event, and acknowledges a message once all of its events were handled", () => {
    const { handle, message, acknowledged } = setUp();
    expect(handle([message(1, ["a+", "b-", "other"])])).toEqual(["b-", "other"]);
    expect(acknowledged).toEqual([]);
    expect(handle([message(2, ["c+", "c-", "a-"])])).toEqual(["c+", "c-", "a+", "a-"]);
    expect(new Set(acknowledged)).toEqual(new Set([1, 2]));
  });

  test("handles a first event alone once it has waited for 250 ms", () => {
    const { handle, message, clock, postponed } = setUp();
    handle([message(1, ["a+"])]);
    clock.now = 100;
    handle([message(2, ["b+"])]);
    expect(postponed.dueInMs()).toBe(150);
    clock.now = 249;
    expect(handle([])).toEqual([]);
    clock.now = 250;
    expect(handle([])).toEqual(["a+"]);
    expect(postponed.dueInMs()).toBe(100);
  });

  test("lets no event wait that is delivered again, is repeated, or is in a batch without waiting", () => {
    const { handle, message, postponed } = setUp();
    expect(handle([message(1, ["a+"], 2)])).toEqual(["a+"]);
    handle([message(2, ["b+"])]);
    expect(handle([message(3, ["b+"])])).toEqual(["b+"]);
    expect(handle([message(4, ["c+"])], false).toSorted()).toEqual(["b+", "c+"]);
    expect(postponed.size).toBe(0);
  });

  test("lets no more than 2,000 events wait", () => {
    const { handle, message, postponed } = setUp();
    const events = Array.from({ length: 2_100 }, (_, index) => `r${index}+`);
    expect(handle([message(1, events)])).toEqual(events.slice(0, 100));
    expect(postponed.size).toBe(2_000);
  });

  test("acknowledges no message with an unhandled event, and returns the messages if a batch fails", () => {
    const event = fc.constantFrom("a+", "a-", "b+", "b-", "c+", "c-", "other");
    const step = fc.record({
      messages: fc.array(fc.array(event, { maxLength: 4 }), { maxLength: 3 }),
      passesMs: fc.constantFrom(0, 20, 300),
      mayWait: fc.boolean(),
      fails: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const { clock, postponed, acknowledged, message } = setUp();
        /** Messages that are neither acknowledged nor given up. */
        const unhandled = new Set<number>();
        let sequence = 0;
        for (const { messages, passesMs, mayWait, fails } of steps) {
          clock.now += passesMs;
          const delivered = messages.map((events) => message(++sequence, events));
          for (const { delivery } of delivered) unhandled.add(delivery.sequence);
          const waitingBefore = postponed.size;
          const batch = postponed.take(delivered, mayWait);
          const arrived = delivered.reduce((sum, { events }) => sum + events.length, 0);
          // Nothing is lost, and nothing is handled twice.
          expect(batch.events.length + postponed.size).toBe(arrived + waitingBefore);
          if (fails) {
            const given = postponed.giveUp(batch).map((delivery) => delivery.sequence);
            expect([given.length, new Set(given)]).toEqual([unhandled.size, unhandled]);
            unhandled.clear();
            expect(postponed.size).toBe(0);
            continue;
          }
          const before = acknowledged.length;
          postponed.acknowledge(batch);
          for (const each of acknowledged.slice(before)) unhandled.delete(each);
          if (postponed.size === 0) expect([...unhandled]).toEqual([]);
          else expect(unhandled.size).toBeGreaterThan(0);
        }
        expect(new Set(acknowledged).size).toBe(acknowledged.length);
      }),
    );
  });
});
