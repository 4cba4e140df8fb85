import { toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import type { DomainError } from "@routeplane/domain";
import type { Component } from "@routeplane/runtime";
import { Durability, type WhenNatsIsAway } from "./durability.ts";
import { JournalFull } from "./journal/full.ts";
import { Journal } from "./journal/journal.ts";
import type { Debt } from "./journal/recovery.ts";
import { type LinkOptions, openLink } from "./link.ts";
import { Sender } from "./sender.ts";
import { ensureStream } from "./stream.ts";
import { unavailable } from "./unavailable.ts";

export interface EventPublisherOptions extends LinkOptions {
  /** Folder of the spool, of this process alone. */
  readonly folder: string;
  /** What the spool may take on the disk. 1 GiB by default. */
  readonly maxBytes?: number;
  /** What becomes of new requests while NATS does not answer. `spool` by default. */
  readonly whenNatsIsAway?: WhenNatsIsAway;
  /** With `refuse`: after this an event that is not acknowledged is not durable. 2000 by default. */
  readonly timeoutMs?: number;
}

/** What is recorded in one piece. */
export interface UsageRecord {
  readonly event: UsageEvent;
  /** What this process owes another service from now on, in words of its own. */
  readonly debt?: Uint8Array | undefined;
  /** A debt that is paid with this. */
  readonly pays?: number | undefined;
}

export interface Recorded {
  /** Place of the debt; 0 if there is none. */
  readonly debt: number;
  /**
   * Resolves once the event survives any kill and the loss of power: NATS has acknowledged it or, with `spool`, it is synced
   * to the disk while NATS does not answer.
   *
   * @throws DomainError UNAVAILABLE (dependency `nats` or `spool`) in bounded time. The event is sent all the same, so a
   * request that is refused for it needs a settlement event too.
   */
  durable(): Promise<void>;
}

/** Whatever it returns from is on this process's disk: a kill at any moment after it loses nothing. */
export interface EventPublisher extends Component {
  /** What earlier processes on this folder owed and did not pay, to be paid now. */
  readonly debts: readonly Debt[];
  /**
   * Records what this process is about to owe, before the request that causes it goes anywhere.
   *
   * @returns the place of the debt
   * @throws DomainError UNAVAILABLE, if nothing new is taken: the spool is full or cannot be written (dependency `spool`), or
   * NATS does not answer and new requests are to be refused then (dependency `nats`)
   */
  readonly owe: (debt: Uint8Array) => number;
  /** A debt is paid. After a kill within 50 ms it is there again. */
  readonly paid: (debt: number) => void;
  /** Records what follows from a request that is under way: there is room kept for it. @throws DomainError as `owe` */
  readonly record: (record: UsageRecord) => Recorded;
  /**
   * As `record`, but never refused: what the disk does not take is sent from memory, and lost if this process is killed
   * before. @returns the place of the debt; 0 if it is not recorded
   */
  readonly recordAnyway: (record: UsageRecord) => number;
  /** Of the spool, on the disk. */
  readonly bytes: () => number;
  /** Whether new requests are taken: what `owe` would say. */
  readonly takesNew: () => boolean;
  /** Whether NATS answers now. */
  readonly isReachable: () => Promise<boolean>;
  /** Waits up to 5 s until all is acknowledged; the rest stays on the disk for the next process. */
  stop(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 2_000;
const DEFAULT_SPOOL_BYTES = 1024 ** 3;
/** An event has no free text of any size: more than this is a fault of the caller. */
export const MAX_EVENT_BYTES = 32 * 1024;
const FLUSH_TIMEOUT_MS = 5_000;

/**
 * Connects, and reconnects, in the background for ever, and sends first what earlier processes left in the folder.
 *
 * @throws FolderTaken if a living process has the folder; Error of the file system
 */
export function openPublisher(options: EventPublisherOptions): EventPublisher {
  const { log, name, folder, maxBytes = DEFAULT_SPOOL_BYTES } = options;
  const { whenNatsIsAway = "spool", timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const journal = Journal.open({ folder, maxBytes, log });
  const link = openLink(options, (session) => ensureStream(session, options));
  const sender: Sender = new Sender({
    journal,
    link,
    log,
    onAcknowledged: (place, last) => durability.acknowledged(place, last),
    onFailure: () => durability.check(),
  });
  const isAway = (): boolean => link.session() === undefined || sender.isFailing;
  const durability = new Durability({ journal, whenNatsIsAway, timeoutMs, isAway });
  const refusal = (): DomainError | undefined => {
    if (whenNatsIsAway === "refuse" && link.downForMs() > timeoutMs) return unavailable("nats", "NATS does not answer");
    return journal.hasRoom ? undefined : spoolDown("the spool is full");
  };
  const record = ({ event, ...entry }: UsageRecord): Recorded => {
    const places = guarded(() => journal.append({ event: encoded(event), ...entry }));
    sender.noticed();
    return { debt: places.debt, durable: () => durability.of(places.event) };
  };

  return {
    name: `event publisher ${name}`,
    debts: journal.debts,
    owe(debt) {
      const refused = refusal();
      if (refused !== undefined) throw refused;
      return guarded(() => journal.append({ debt, isNew: true })).debt;
    },
    paid(debt) {
      if (debt > 0) journal.pay(debt);
    },
    record,
    recordAnyway(entry) {
      try {
        return record(entry).debt;
      } catch (error) {
        log.error({ err: error }, "a usage event could not be recorded: it is sent from memory");
        sender.sendUnrecorded(encoded(entry.event));
        return 0;
      }
    },
    bytes: () => journal.bytes,
    takesNew: () => refusal() === undefined,
    isReachable: () => link.isReachable(),
    async stop() {
      const lost = await sender.stop(FLUSH_TIMEOUT_MS);
      if (lost > 0)
        log.error({ events: lost }, "stopped before these usage events were recorded anywhere: they are lost");
      durability.rejectAll(unavailable("nats", "the event publisher stopped before NATS answered"));
      await Promise.all([link.stop(), journal.close()]);
    },
  };
}

function encoded(event: UsageEvent): Uint8Array {
  const bytes = toBinary(UsageEventSchema, event);
  if (bytes.length > MAX_EVENT_BYTES) throw new RangeError(`a usage event of ${bytes.length} bytes`);
  return bytes;
}

function guarded<T>(append: () => T): T {
  try {
    return append();
  } catch (error) {
    throw error instanceof JournalFull ? spoolDown(error.message, error) : error;
  }
}

function spoolDown(message: string, cause?: unknown): DomainError {
  return unavailable("spool", message, cause);
}
