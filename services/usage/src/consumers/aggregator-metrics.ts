import type { UsageEvent } from "@routeplane/contracts/events";
import type { EventConsumer } from "@routeplane/events";
import type { DeadLetterBox } from "../domain/dead-letters.ts";
import type { Metric } from "../domain/metrics.ts";

/** Counts of what an aggregator has committed since it started, and its lag. */
export class AggregatorMetrics {
  /** Events that are committed, as a row or as a dead letter; one that was delivered twice counts twice. */
  #events = 0;
  #overruns = 0;

  /** Wraps a batch handler so that what it has committed is counted. */
  counting(
    onBatch: (events: readonly UsageEvent[]) => Promise<void>,
  ): (events: readonly UsageEvent[]) => Promise<void> {
    return async (events) => {
      await onBatch(events);
      this.#events += events.length;
      this.#overruns += events.filter(isOverrun).length;
    };
  }

  /** Reads all metrics. A metric has no value while NATS or Postgres, which it is read from, does not answer. */
  async read(
    consumer: Pick<EventConsumer, "lag">,
    deadLetters: Pick<DeadLetterBox, "countHeld">,
  ): Promise<readonly Metric[]> {
    const [lag, held] = await Promise.all([consumer.lag(), deadLetters.countHeld().catch(() => undefined)]);
    return [
      {
        name: "routeplane_aggregator_pending_messages",
        help: "Messages of usage events (up to 100 each) that are not stored yet, over all aggregators. Absent while NATS is down.",
        type: "gauge",
        value: lag?.pendingMessages,
      },
      {
        name: "routeplane_aggregator_oldest_pending_seconds",
        help: "Age of the oldest message that is not stored yet; 0 if there is none. Absent while NATS is down.",
        type: "gauge",
        value: lag && lag.oldestMs / 1_000,
      },
      {
        name: "routeplane_aggregator_events_total",
        help: "Usage events that this process has committed; one that was delivered twice counts twice.",
        type: "counter",
        value: this.#events,
      },
      {
        name: "routeplane_aggregator_overruns_total",
        help: "Settlements of more than twice their reservation that this process has committed; one that was delivered twice counts twice.",
        type: "counter",
        value: this.#overruns,
      },
      {
        name: "routeplane_dead_letters",
        help: "Dead letters that wait for an operator. Absent while Postgres is down.",
        type: "gauge",
        value: held === undefined ? undefined : Number(held),
      },
    ];
  }
}

const ALARMING_OVERRUN_FACTOR = 2n;

/** Returns true if an upstream billed more than twice the reservation of its request. */
function isOverrun({ phase }: UsageEvent): boolean {
  return phase.case === "settled" && phase.value.costNanoUsd > phase.value.reservedNanoUsd * ALARMING_OVERRUN_FACTOR;
}
