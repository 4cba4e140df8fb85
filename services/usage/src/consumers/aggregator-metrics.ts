import type { UsageEvent } from "@routeplane/contracts/events";
import type { EventConsumer } from "@routeplane/events";
import type { DeadLetterBox } from "../domain/dead-letters.ts";
import type { Metric } from "../domain/metrics.ts";

/** What an aggregator has done since it started. */
export class AggregatorMetrics {
  /** Events that are committed, as a row or as a dead letter; one that came twice counts twice. */
  #events = 0;
  #overruns = 0;

  /** Counts what `onBatch` has committed. */
  counting(
    onBatch: (events: readonly UsageEvent[]) => Promise<void>,
  ): (events: readonly UsageEvent[]) => Promise<void> {
    return async (events) => {
      await onBatch(events);
      this.#events += events.length;
      this.#overruns += events.filter(isOverrun).length;
    };
  }

  /** With how far behind all aggregators are together, as far as that can be known now. */
  async read(
    consumer: Pick<EventConsumer, "lag">,
    deadLetters: Pick<DeadLetterBox, "countHeld">,
  ): Promise<readonly Metric[]> {
    const [lag, held] = await Promise.all([consumer.lag(), deadLetters.countHeld().catch(() => undefined)]);
    return [
      {
        name: "routeplane_aggregator_pending_messages",
        help: "Messages of usage events (up to 100 each) that are not stored yet, over all aggregators. Absent while NATS is away.",
        type: "gauge",
        value: lag?.pendingMessages,
      },
      {
        name: "routeplane_aggregator_oldest_pending_seconds",
        help: "Age of the oldest message that is not stored yet; 0 if there is none. Absent while NATS is away.",
        type: "gauge",
        value: lag && lag.oldestMs / 1_000,
      },
      {
        name: "routeplane_aggregator_events_total",
        help: "Usage events that this process has committed, those that came twice twice.",
        type: "counter",
        value: this.#events,
      },
      {
        name: "routeplane_aggregator_overruns_total",
        help: "Settlements that this process has committed of more than twice their reservation, those that came twice twice.",
        type: "counter",
        value: this.#overruns,
      },
      {
        name: "routeplane_dead_letters",
        help: "Dead letters that wait for an operator. Absent while Postgres is away.",
        type: "gauge",
        value: held === undefined ? undefined : Number(held),
      },
    ];
  }
}

const OVERRUN_ALARM = 2n;

/** True if an upstream billed a multiple of what was reserved for its request. */
function isOverrun({ phase }: UsageEvent): boolean {
  return phase.case === "settled" && phase.value.costNanoUsd > phase.value.reservedNanoUsd * OVERRUN_ALARM;
}
