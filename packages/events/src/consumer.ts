import type { Component } from "@routeplane/runtime";
import { openConnection, type Session, wait } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import { type EventHandlers, handleMessages, retryLater } from "./handle-messages.ts";
import {
  type ConsumerLag,
  declareConsumer,
  readLag,
  type Source,
  sourcesOf,
  unpartitionedSource,
} from "./jetstream-consumer.ts";
import { keepPosition, type PositionMarks } from "./log-position.ts";
import { PartitionOwnership, type ReplicaRegistry } from "./partition-ownership.ts";
import { DEFAULT_STREAM_SETTINGS, type StreamSettings } from "./settings.ts";
import { type EventPlace, PostponedEvents } from "./postponed-events.ts";
import { SourcePulls } from "./source-pulls.ts";
import { infoOf, readLayout, type StreamOptions, UNPARTITIONED, updateStream, watchOwner } from "./stream.ts";
import { trimAcknowledged } from "./trim.ts";

export interface EventConsumerOptions<Event> extends StreamOptions, EventHandlers<Event> {
  /** Name of the durable consumers: that of partition 0 is `<durable>-0`. */
  readonly durable: string;
  /** Number of messages that are handled at a time. */
  readonly batch: number;
  /** Registry of the processes that share the partitions. */
  readonly replicas: ReplicaRegistry;
  /**
   * Returns the place of an event among those of its request, or undefined if it never waits: the first one waits up to 250 ms for the
   * last, so that both are handled in one batch. By default none waits.
   */
  readonly placeOf?: (event: Event) => EventPlace | undefined;
  /** Store of the position up to which the stream is handled; one of the processes keeps it. */
  readonly position?: PositionMarks<unknown>;
  /** Interval between two reads of the position. 3000 by default. */
  readonly positionIntervalMs?: number;
}

export interface EventConsumer extends Component {
  /** Resolves to true if NATS answers now. */
  isReachable(): Promise<boolean>;
  /** Reads the lag of all processes that share the partitions; undefined while NATS does not answer. */
  lag(): Promise<ConsumerLag | undefined>;
  /** Reads the bytes of the stream as a share of its maximum, at which it refuses events; undefined while NATS does not answer. */
  usedShare(): Promise<number | undefined>;
  /** Finishes the batch that is being handled, and returns messages that were only fetched. */
  stop(): Promise<void>;
}

/** Sources as they were declared at the last connection. */
interface Sources {
  readonly partitions: readonly Source[];
  /** Source of the unpartitioned stream of earlier releases, if there is one; shared by all processes. */
  readonly unpartitioned: readonly Source[];
  /** False while the id of the installation cannot be read: the lag is known then, and nothing is consumed. */
  readonly isOwn: boolean;
}

const CONNECT_WAIT_MS = 1_000;
const RECONNECT_MS = 100;
const LOOK_FOR_EARLIER_MS = { first: 5_000, max: 300_000 };

/**
 * Workers of a session. The first takes any messages, so that there is usually one batch at a time, of all that have arrived. The second
 * takes only whole batches, so that one is decoded while the other is written; it takes none while batches fail.
 */
const WORKERS = ["any", "whole"] as const;

/**
 * Opens a consumer that connects, and reconnects, in the background for ever. It handles one batch at a time, and two while a whole
 * one waits.
 */
export function openConsumer<Event>(options: EventConsumerOptions<Event>): EventConsumer {
  const stopping = new AbortController();
  const stopped = stopping.signal;
  let sources: Sources = { partitions: [], unpartitioned: [], isOwn: false };
  let pulls: SourcePulls | undefined;
  const wake = (): void => pulls?.wake();
  stopped.addEventListener("abort", wake, { once: true });
  const declare = watchOwner(options, (session) => declareSources(session, options));
  const connection = openConnection(options, async (session) => {
    sources = await declare(session);
  });
  const ownership = new PartitionOwnership(options.replicas, options.log, stopped, wake);

  const consumeSession = async (session: Session): Promise<void> => {
    const current = new SourcePulls(session, options.batch);
    pulls = current;
    ownership.participate(sources.partitions.length);
    /** Partitions that the batch of each worker can be of. */
    const busy = WORKERS.map((): readonly number[] => []);
    let isFailing = false;
    const lost = new AbortController();
    const ended = AbortSignal.any([stopped, lost.signal]);
    const work = async (takes: (typeof WORKERS)[number], worker: number): Promise<void> => {
      const postponed = new PostponedEvents<Event>(options.placeOf ?? (() => undefined));
      let failures = 0;
      const handleTaken = async (deliveries: readonly Delivery[], mayWait: boolean): Promise<void> => {
        const refused = await handleMessages(deliveries, { ...options, postponed, mayWait });
        failures = refused.length === 0 ? 0 : failures + 1;
        const hasRecovered = isFailing && failures === 0 && deliveries.length > 0;
        isFailing = failures > 0 || (isFailing && !hasRecovered);
        if (hasRecovered) current.wake();
        if (failures > 0) await retryLater(refused, failures, options.log, ended);
      };
      const takeAndHandle = async (): Promise<void> => {
        const { owned } = ownership;
        // Once this process reports other partitions, another process may own those of the postponed events.
        if (postponed.size > 0 && owned.join() !== busy[worker]?.join()) await handleTaken([], false);
        const partitions = sources.partitions.filter((_, partition) => owned.includes(partition));
        current.set([...partitions, ...sources.unpartitioned]);
        busy[worker] = owned;
        ownership.report(busy.flat());
        const dueInMs = postponed.dueInMs();
        const timer = dueInMs === undefined ? undefined : setTimeout(() => current.wake(), dueInMs);
        const deliveries = await current
          .take(takes === "any" ? () => 0 : () => (isFailing ? Infinity : 1))
          .finally(() => clearTimeout(timer));
        // The events of a whole batch (a lag) or a repeated one (a failure) have waited already.
        await handleTaken(deliveries, takes === "any" && failures === 0 && deliveries.length < options.batch);
      };
      try {
        while (!ended.aborted) await takeAndHandle();
      } finally {
        if (postponed.size > 0) await handleTaken([], false);
      }
      busy[worker] = [];
    };
    const workers = WORKERS.map((takes, worker) =>
      work(takes, worker).catch((error: unknown) => {
        lost.abort();
        current.wake();
        throw error;
      }),
    );
    try {
      // Wait for all workers: the other one may still be writing its batch.
      await Promise.allSettled(workers);
      await Promise.all(workers);
    } finally {
      current.stop();
      pulls = undefined;
      ownership.report([]);
      ownership.participate(undefined);
    }
  };
  const consumeForEver = async (): Promise<void> => {
    while (!stopped.aborted) {
      const session = await connection.untilConnected(CONNECT_WAIT_MS);
      if (session === undefined) continue;
      try {
        if (sources.isOwn) await consumeSession(session);
        else if (await untilInstallationIsKnown(session, options, stopped)) await session.connection.close();
      } catch (error) {
        options.log.warn({ err: error }, "pulling usage events failed; reconnecting");
        // A new session declares stream and consumers again, in case one of them was deleted.
        await session.connection.close();
        await wait(RECONNECT_MS, stopped);
      }
    }
  };

  /** Returns the session of the one process that trims: the owner of the first partition. */
  const trimmingSession = () => (ownership.owned.includes(0) ? connection.session() : undefined);
  /**
   * Connects again once there is an earlier stream to drain. Gateways of an earlier release may start later than this process: during an
   * upgrade of the node, or at any time after a rollback of gateways alone. One process looks for the stream, less and less often.
   */
  const lookForEarlier = async (): Promise<void> => {
    const { first, max } = LOOK_FOR_EARLIER_MS;
    for (let waitMs = first; !stopped.aborted; waitMs = Math.min(2 * waitMs, max)) {
      await wait(waitMs, stopped);
      const isMine = sources.unpartitioned.length === 0 && ownership.owned.includes(0);
      const session = isMine ? connection.session() : undefined;
      const isThere = session && (await hasEarlier(session, options.settings).catch(() => false));
      if (isThere) await session.connection.close();
    }
  };
  /** Sources as the streams are now: another process may have added partitions since this one declared its own. */
  const readPartitions = async (session: Session): Promise<readonly Source[]> =>
    sourcesOf(await readLayout(session, options.settings), options.durable, options.batch);
  const readSources = async (session: Session): Promise<readonly Source[]> => {
    const partitions = await readPartitions(session);
    const hasUnpartitioned = await hasEarlier(session, options.settings);
    return hasUnpartitioned ? [...partitions, unpartitionedSource(options.durable)] : partitions;
  };
  const running = [
    consumeForEver(),
    lookForEarlier(),
    trimAcknowledged({ session: trimmingSession, readSources: readPartitions, stopped }),
    trimAcknowledged({ session: trimmingSession, readSources: async () => sources.unpartitioned, stopped }),
    keepPosition({
      marks: options.position,
      session: () => (sources.isOwn && ownership.owned.includes(0) ? connection.session() : undefined),
      readSources,
      log: options.log,
      stopped,
      ...(options.positionIntervalMs !== undefined && { intervalMs: options.positionIntervalMs }),
    }),
  ];
  return {
    name: `event consumer ${options.name}`,
    isReachable: () => connection.isReachable(),
    async lag() {
      const session = connection.session();
      const all = [...sources.partitions, ...sources.unpartitioned];
      return session && readLag(session, all, Date.now()).catch(() => undefined);
    },
    async usedShare() {
      const session = connection.session();
      const info = session && (await infoOf(session.manager, options.settings.stream).catch(() => undefined));
      return info && info.state.bytes / info.config.max_bytes;
    },
    async stop() {
      stopping.abort();
      await Promise.all(running);
      await ownership.end();
      await connection.stop();
    },
  };
}

/** Declares the stream and the consumers. @throws Error that names what differs from the declaration, or was refused */
async function declareSources(
  session: Session,
  options: StreamOptions & { durable: string; batch: number },
): Promise<Sources> {
  const { durable, batch, settings } = options;
  const isOwn = await options.installation().then(
    () => true,
    () => false,
  );
  const layout = isOwn ? await updateStream(session, options) : await readLayout(session, settings);
  const partitions = sourcesOf(layout, durable, batch);
  const unpartitioned = (await hasEarlier(session, settings)) ? [unpartitionedSource(durable)] : [];
  if (isOwn) for (const source of [...partitions, ...unpartitioned]) await declareConsumer(session, source);
  return { partitions, unpartitioned, isOwn };
}

/** Returns true if there is a stream of releases without partitions to drain. */
async function hasEarlier({ manager }: Session, { stream, subjectPrefix }: StreamSettings): Promise<boolean> {
  const defaults = DEFAULT_STREAM_SETTINGS;
  // That stream has fixed names: an installation with its own names has none, and must not drain that of another installation.
  if (stream !== defaults.stream || subjectPrefix !== defaults.subjectPrefix) return false;
  return (await infoOf(manager, UNPARTITIONED.stream)) !== undefined;
}

/** Waits for the id of the installation. @returns false if the session ended, or the consumer stopped, first */
async function untilInstallationIsKnown(
  { connection }: Session,
  { installation, log }: StreamOptions,
  stopped: AbortSignal,
): Promise<boolean> {
  for (let attempt = 0; !stopped.aborted && !connection.isClosed(); attempt++) {
    try {
      await installation();
      return true;
    } catch (error) {
      if (attempt % 30 === 0) log.warn({ err: error }, "reading the installation id failed; retrying");
    }
    await wait(CONNECT_WAIT_MS, stopped);
  }
  return false;
}
