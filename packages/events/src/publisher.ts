import { toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import { DomainError } from "@routeplane/domain";
import type { Component } from "@routeplane/runtime";
import { type Batch, Batcher } from "./batcher.ts";
import { openLink, type Link, type LinkOptions, wait } from "./link.ts";
import { declareStream, STREAM, SUBJECT } from "./stream.ts";

export interface EventPublisherOptions extends LinkOptions {
  /** After this `publish` gives up. 2000 by default. */
  readonly timeoutMs?: number;
  /** Bytes of encoded events that may wait in memory; beyond it both ways of publishing refuse. 64 MiB by default. */
  readonly maxBacklogBytes?: number;
}

export interface EventPublisher extends Component {
  /**
   * Resolves once the event is durable in the stream.
   *
   * @throws DomainError UNAVAILABLE (dependency `nats`) within `timeoutMs`: at once if NATS has been away that long
   * already, or if the backlog is full. The event may have arrived all the same, so a request that is refused for it needs
   * a settlement event too.
   */
  readonly publish: (event: UsageEvent) => Promise<void>;
  /**
   * As `publish`, but tried for as long as the process lives, through any absence of NATS. For events that must not be lost,
   * such as settlements: need not be awaited by whoever serves the client, but its rejection must be handled.
   *
   * @throws DomainError UNAVAILABLE (dependency `nats`) if the backlog is full, or if `stop` could not flush it in time.
   */
  readonly publishUntilDurable: (event: UsageEvent) => Promise<void>;
  /** What waits to become durable. */
  readonly backlog: () => { readonly events: number; readonly bytes: number };
  /** Whether NATS answers now. */
  readonly isReachable: () => Promise<boolean>;
  /** Takes no more events, and waits up to 5 s until those it has are durable. */
  stop(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 2_000;
const DEFAULT_BACKLOG_BYTES = 64 * 1024 ** 2;
/** An event has no free text of any size: more than this is a fault of the caller. */
const MAX_EVENT_BYTES = 16 * 1024;
const FLUSH_TIMEOUT_MS = 5_000;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 2_000;

/** Returns at once; connects, and reconnects, in the background for ever. */
export function openPublisher(options: EventPublisherOptions): EventPublisher {
  const { log, name, timeoutMs = DEFAULT_TIMEOUT_MS, maxBacklogBytes = DEFAULT_BACKLOG_BYTES } = options;
  const link = openLink(options, (session) => declareStream(session, log));
  const stopping = new AbortController();
  const batcher = new Batcher((batch) => deliver(batch, link, stopping.signal, log));

  const enqueue = (event: UsageEvent, lasting: boolean): Promise<void> => {
    const bytes = toBinary(UsageEventSchema, event);
    if (bytes.length > MAX_EVENT_BYTES) throw new RangeError(`a usage event of ${bytes.length} bytes`);
    if (batcher.closed) throw unavailable("the event publisher has stopped");
    if (batcher.bytes + bytes.length > maxBacklogBytes) throw unavailable("too many usage events wait for NATS");
    if (!lasting && link.downForMs() > timeoutMs) throw unavailable("NATS does not answer");
    return batcher.add(bytes, lasting ? undefined : timeoutMs, () => unavailable("NATS did not answer in time"));
  };

  return {
    name: `event publisher ${name}`,
    publish: async (event) => enqueue(event, false),
    publishUntilDurable: async (event) => enqueue(event, true),
    backlog: () => ({ events: batcher.events, bytes: batcher.bytes }),
    isReachable: () => link.isReachable(),
    async stop() {
      const flushed = await batcher.close(FLUSH_TIMEOUT_MS);
      if (!flushed)
        log.error({ events: batcher.events }, "stopped before these usage events were durable: they are lost");
      stopping.abort();
      batcher.rejectAll(unavailable("the event publisher stopped before NATS answered"));
      await link.stop();
    },
  };
}

/** Sends until acknowledged, under one message id, or until nobody waits for it any more. */
async function deliver(
  batch: Batch,
  link: Link,
  stopping: AbortSignal,
  log: EventPublisherOptions["log"],
): Promise<void> {
  let current: Batch | undefined = batch;
  for (let attempt = 0; current !== undefined && !stopping.aborted; attempt++) {
    try {
      await send(current, link);
      for (const waiting of current.waiting) waiting.resolve();
      return;
    } catch (error) {
      if (attempt % 30 === 0) log.warn({ err: error, events: current.waiting.length, attempt }, "usage events wait");
    }
    await wait(Math.min(MIN_RETRY_MS * 2 ** Math.min(attempt, 6), MAX_RETRY_MS), stopping);
    await link.untilUp(MAX_RETRY_MS);
    current = current.withoutGivenUp();
  }
}

async function send(batch: Batch, link: Link): Promise<void> {
  const session = link.session();
  if (session === undefined) throw new Error("no connection to NATS");
  await session.jetstream.publish(SUBJECT, batch.payload, { msgID: batch.id, expect: { streamName: STREAM } });
}

function unavailable(message: string): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata: { dependency: "nats" } });
}
