import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema, UsageEventSchema } from "@routeplane/contracts/events";
import { createLogger } from "@routeplane/runtime";
import { startNats } from "@routeplane/testing";
import { connect, type NatsConnection } from "nats";
import {
  type EventPublisherOptions,
  type NatsAddress,
  openConsumer,
  openPublisher,
  parseNatsUrl,
} from "../src/index.ts";
import { STREAM } from "../src/stream.ts";

/** A broker of its own, publishers and consumers on it, and what they logged. */
export type Kit = Awaited<ReturnType<typeof startKit>>;

/** The durable consumer that collectors share; the aggregators' own, which alone their user may use. */
export const DURABLE = { durable: "usage-aggregator", workers: 2, batch: 10 };

type PublisherOptions = Partial<Pick<EventPublisherOptions, "folder" | "maxBytes" | "natsOutage" | "timeoutMs">>;

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

/** The same on servers that somebody else has started. */
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
  const link = { nats: address, log, name: "test" };
  const connectRaw = (url = nats.url): Promise<NatsConnection> => {
    const { servers, user = "", password = "" } = addressOf(url);
    return connect({ servers: [...servers], user, pass: password, inboxPrefix: `_INBOX.${user}` });
  };

  return {
    lines,
    link,
    connectRaw,

    /** A folder for a spool, new for each call. */
    spool: (): string => join(root, `spool-${++spools}`),

    publisher(options: PublisherOptions = {}) {
      const folder = options.folder ?? join(root, `spool-${++spools}`);
      const publisher = openPublisher({ ...link, nats: addressOf(nats.gatewayUrl ?? nats.url), folder, ...options });
      opened.push(publisher);
      const publish = (event: UsageEvent): Promise<void> => publisher.record({ event }).committed();
      return { ...publisher, folder, publish };
    },

    /** A consumer that keeps what it is given. `onBatch` may refuse it first. */
    collector(onBatch: (ids: readonly string[]) => void | Promise<void> = () => {}) {
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
      const consumer = openConsumer({ ...link, nats: own, ...DURABLE, ...handlers });
      opened.push(consumer);
      return { consumer, seen, unreadable, distinct: () => [...new Set(seen)].toSorted() };
    },

    /** Messages that the stream holds, and those of them that were delivered and not acknowledged. */
    async counts(): Promise<{ readonly messages: number; readonly unacknowledged: number }> {
      const connection = await connectRaw();
      const manager = await connection.jetstreamManager();
      const { state } = await manager.streams.info(STREAM);
      const { num_ack_pending } = await manager.consumers
        .info(STREAM, DURABLE.durable)
        .catch(() => ({ num_ack_pending: 0 }));
      await connection.close();
      return { messages: state.messages, unacknowledged: num_ack_pending };
    },

    async remove() {
      for (const each of opened.toReversed()) await each.stop();
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

export function usageEvent(requestId: string): UsageEvent {
  return create(UsageEventSchema, {
    request: { requestId },
    phase: { case: "admitted", value: { reservedNanoUsd: 7n } },
  });
}

export function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `req-${String(index).padStart(5, "0")}`);
}
