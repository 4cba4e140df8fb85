import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema, UsageEventSchema } from "@routeplane/contracts/events";
import { createLogger } from "@routeplane/runtime";
import { startNats } from "@routeplane/testing";
import { connect, type NatsConnection } from "nats";
import {
  type EventConsumerOptions,
  type EventPublisherOptions,
  type NatsAddress,
  openConsumer,
  openPublisher,
  parseNatsUrl,
  type StreamSettings,
  toUsageRecord,
} from "../src/index.ts";
import type { Replica, ReplicaRegistry } from "../src/index.ts";
import { DEFAULT_STREAM_SETTINGS } from "../src/settings.ts";

/** NATS server of one test, with publishers, consumers and their log lines. */
export type Kit = Awaited<ReturnType<typeof startKit>>;

/** Durable consumers that collectors share: those of aggregators. */
export const DURABLE = { durable: "usage-aggregator", batch: 10 };

export const STREAM = DEFAULT_STREAM_SETTINGS.stream;
export const PARTITIONS = DEFAULT_STREAM_SETTINGS.partitions;

/** Returns the subject of a partition. */
export const subjectOf = (partition: number): string => `${DEFAULT_STREAM_SETTINGS.subjectPrefix}.v2.${partition}`;

/** Id of the installation of tests. */
export const INSTALLATION = "00000000-0000-4000-8000-000000000001";

/** Makes registries of consumers that share partitions in this process. */
export function inMemoryReplicas(): () => ReplicaRegistry {
  const live = new Map<string, Replica>();
  return () => {
    const id = randomUUID();
    return {
      id,
      async exchange(_durationMs, choose) {
        live.set(id, { id, partitions: choose([...live.values()]) });
      },
      async leave() {
        live.delete(id);
      },
    };
  };
}

/** Options by which a publisher or a collector differs from the others. */
interface OwnOptions {
  /** Address with the user; by default that of gateways or aggregators, whose permissions name the default stream. */
  readonly nats?: NatsAddress;
  readonly settings?: Partial<StreamSettings>;
  readonly installation?: () => Promise<string>;
}

type PublisherOptions = Partial<Pick<EventPublisherOptions, "folder" | "maxBytes" | "natsOutage" | "timeoutMs">> &
  OwnOptions;
type CollectorOptions = OwnOptions &
  Partial<Pick<EventConsumerOptions<UsageEvent>, "replicas" | "position" | "positionIntervalMs" | "placeOf">>;

export async function startKit() {
  const nats = await startNats();
  const kit = await kitOn(nats);
  return {
    ...kit,
    nats,
    async remove() {
      nats.resume();
      await kit.remove();
    },
  };
}

/** Makes a kit on servers that are running. */
export async function kitOn(nats: {
  readonly url: string;
  readonly gatewayUrl?: string;
  readonly aggregatorUrl?: string;
  remove(): Promise<void>;
}) {
  const root = await mkdtemp(join(tmpdir(), "routeplane-events-"));
  let spools = 0;
  const address = addressOf(nats.url);
  const opened: { stop(): Promise<void> }[] = [];
  const lines: string[] = [];
  const log = createLogger("test", (line) => (lines.push(line), ""));
  const replicas = inMemoryReplicas();
  const settings: StreamSettings = DEFAULT_STREAM_SETTINGS;
  const connection = { nats: address, settings, installation: async () => INSTALLATION, log, name: "test" };
  const connectRaw = (url = nats.url): Promise<NatsConnection> => {
    const { servers, user = "", password = "" } = addressOf(url);
    return connect({ servers: [...servers], user, pass: password, inboxPrefix: `_INBOX.${user}` });
  };

  return {
    lines,
    connection,
    connectRaw,
    newReplicas: inMemoryReplicas,

    /** Returns a new folder for a spool. */
    spool: (): string => join(root, `spool-${++spools}`),

    publisher(options: PublisherOptions = {}) {
      const folder = options.folder ?? join(root, `spool-${++spools}`);
      const publisher = openPublisher({
        ...connection,
        nats: addressOf(nats.gatewayUrl ?? nats.url),
        ...options,
        settings: { ...settings, ...options.settings },
        folder,
      });
      opened.push(publisher);
      const publish = (event: UsageEvent): Promise<void> => publisher.record(toUsageRecord(event)).committed();
      return { ...publisher, folder, publish };
    },

    /** Opens a consumer that collects the ids of events. `onBatch` can reject them first. */
    collector(onBatch: (ids: readonly string[]) => void | Promise<void> = () => {}, options: CollectorOptions = {}) {
      const seen: string[] = [];
      const collect = async (events: readonly UsageEvent[]): Promise<void> => {
        const ids = events.map(({ request }) => request?.requestId ?? "");
        await onBatch(ids);
        seen.push(...ids);
      };
      const unreadable: string[] = [];
      const keep = async (payload: Uint8Array): Promise<void> => void unreadable.push(Buffer.from(payload).toString());
      const handlers = { read, onBatch: collect, onUnreadable: keep };
      const own = addressOf(nats.aggregatorUrl ?? nats.url);
      const consumer = openConsumer({
        ...connection,
        nats: own,
        replicas: replicas(),
        ...options,
        settings: { ...settings, ...options.settings },
        ...DURABLE,
        ...handlers,
      });
      opened.push(consumer);
      return { consumer, seen, unreadable, distinct: () => [...new Set(seen)].toSorted() };
    },

    /** Counts the messages of the stream, and those that were delivered and not acknowledged. */
    async counts(): Promise<{ readonly messages: number; readonly unacknowledged: number }> {
      const connection = await connectRaw();
      const manager = await connection.jetstreamManager();
      const { state } = await manager.streams.info(STREAM);
      const consumers = await manager.consumers.list(STREAM).next();
      const unacknowledged = consumers.reduce((sum, { num_ack_pending }) => sum + num_ack_pending, 0);
      await connection.close();
      return { messages: state.messages, unacknowledged };
    },

    async remove() {
      for (const component of opened.toReversed()) await component.stop();
      await nats.remove();
      await rm(root, { recursive: true, force: true });
    },
  };
}

function addressOf(url: string): NatsAddress {
  const address = parseNatsUrl(url);
  if (address === undefined) throw new Error("unreachable: the test server's URL is well-formed");
  return address;
}

function read(payload: Uint8Array): readonly UsageEvent[] | undefined {
  try {
    return fromBinary(UsageEventBatchSchema, payload).events;
  } catch {
    return undefined;
  }
}

/** Makes an event; without a namespace it is of partition 0. */
export function usageEvent(requestId: string, namespaceId = ""): UsageEvent {
  return create(UsageEventSchema, {
    request: { requestId, namespaceId },
    phase: { case: "admitted", value: { reservedNanoUsd: 7n } },
  });
}

export function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `req-${String(index).padStart(5, "0")}`);
}
