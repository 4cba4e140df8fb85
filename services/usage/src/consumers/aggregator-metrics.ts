import type { UsageEvent } from "@routeplane/contracts/events";
import type { EventConsumer } from "@routeplane/events";
import { counter, gauge } from "@routeplane/runtime";
import type { DeadLetterBox } from "../domain/dead-letters.ts";

const events = counter({
  name: "routeplane_aggregator_events_total",
  help: "Usage events that this process has committed; one that was delivered twice counts twice.",
});
const overruns = counter({
  name: "routeplane_aggregator_overruns_total",
  help: "Settlements of more than twice their reservation that this process has committed; one that was delivered twice counts twice.",
});

type OnBatch = (events: readonly UsageEvent[]) => Promise<void>;

/** Wraps a batch handler so that what it has committed is counted: events as rows or dead letters. */
export function countEvents(onBatch: OnBatch): OnBatch {
  return async (batch) => {
    await onBatch(batch);
    events.inc(batch.length);
    overruns.inc(batch.filter(isOverrun).length);
  };
}

/**
 * Registers the lag of the stream, how full it is, and the number of dead letters. A value that NATS or Postgres does not report is left
 * out.
 */
export function registerMetrics(
  consumer: Pick<EventConsumer, "lag" | "usedShare">,
  deadLetters: Pick<DeadLetterBox, "countHeld">,
): void {
  gauge({
    name: "routeplane_aggregator_pending_messages",
    help: "Messages of usage events (up to 100 each) that are not stored yet, over all aggregators. Absent while NATS is down.",
    read: async () => (await consumer.lag())?.pendingMessages,
  });
  gauge({
    name: "routeplane_aggregator_oldest_pending_seconds",
    help: "Age of the oldest message that is not stored yet; 0 if there is none. Absent while NATS is down.",
    async read() {
      const lag = await consumer.lag();
      return lag && lag.oldestMs / 1_000;
    },
  });
  gauge({
    name: "routeplane_aggregator_stream_used_ratio",
    help: "Bytes of the stream of usage events by its maximum, from 0 to 1: at 1 gateways spool. Absent while NATS is down.",
    read: () => consumer.usedShare(),
  });
  gauge({
    name: "routeplane_dead_letters",
    help: "Dead letters that wait for an operator. Absent while Postgres is down.",
    read: async () => Number(await deadLetters.countHeld()),
  });
}

const ALARMING_OVERRUN_FACTOR = 2n;

/** Returns true if an upstream billed more than twice the reservation of its request. */
function isOverrun({ phase }: UsageEvent): boolean {
  return phase.case === "settled" && phase.value.costNanoUsd > phase.value.reservedNanoUsd * ALARMING_OVERRUN_FACTOR;
}
