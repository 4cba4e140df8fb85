/**
 * Publisher of the usage events that a gateway records before, during and after a request.
 *
 * Architecture. A record goes to the spool on this process's disk (`spool/spool.ts`); the sender (`sender.ts`) sends the spool's events to
 * JetStream in batches; the commit wait (`commit-wait.ts`) reports when an event survives the loss of power too. Pending settlements are
 * kept in the same spool, so that a settlement and its usage event are written in one piece.
 *
 * Steps of one request. `enqueue` writes the release of a reservation that is about to be made; the reservation is made;
 * `record` writes the admission event and completes the release; the caller waits for `committed` before the first byte of
 * the answer; `recordOrSend` writes the settled event and the settlement; `complete` follows once policy has acknowledged.
 *
 * Concurrency. Every recording method is synchronous and has written its record when it returns: a kill at any moment after
 * that loses nothing. Sending and waiting go on in the background.
 *
 * Failures. NATS disconnected: by the policy `natsOutage`, events commit to the spool or new requests are refused. Spool
 * full or failing: `enqueue` refuses new requests at once, `record` uses the space that is kept for running ones, and
 * `recordOrSend` sends from memory what even then cannot be written. Nothing waits longer than its bound.
 */
import { toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import type { DomainError } from "@routeplane/domain";
import type { Component } from "@routeplane/runtime";
import { CommitWait, type NatsOutage } from "./commit-wait.ts";
import { openConnection } from "./connection.ts";
import { Sender } from "./sender.ts";
import { claimOwnership, type Ownership } from "./spool/owner-socket.ts";
import type { PendingSettlement } from "./spool/recovery.ts";
import { SpoolFull } from "./spool/spool-full.ts";
import { type EntryOffsets, Spool } from "./spool/spool.ts";
import { ensureStream, type StreamLayout, type StreamOptions, watchOwner } from "./stream.ts";
import { unavailable } from "./unavailable.ts";

export interface EventPublisherOptions extends StreamOptions {
  /** Folder of the spool, used by this process alone. */
  readonly folder: string;
  /** Upper bound of the spool's bytes on the disk. 1 GiB by default. */
  readonly maxBytes?: number;
  /** Policy for new requests while NATS does not answer. `spool` by default. */
  readonly natsOutage?: NatsOutage;
  /** Time that NATS has to acknowledge an event under the policy `refuse`. 2000 by default. */
  readonly timeoutMs?: number;
}

/** Usage event, and what is written in one piece with it. */
export interface UsageRecord {
  /** Encoded UsageEvent. */
  readonly event: Uint8Array;
  /** Namespace of the event, which determines its partition. */
  readonly namespaceId: string;
  /** Settlement that another service has yet to acknowledge, in the caller's encoding. */
  readonly pendingSettlement?: Uint8Array | undefined;
  /** Offset of a pending settlement that this record completes. */
  readonly completes?: number | undefined;
  /** True for the first record of a request: it is refused as `enqueue` is. False by default. */
  readonly isNewRequest?: boolean | undefined;
  /** Called once NATS has acknowledged the event; never if this process ends before. Must not throw. */
  readonly onAcknowledged?: (() => void) | undefined;
}

export interface Recorded {
  /** Offset of the record's pending settlement; 0 if it has none. */
  readonly pendingSettlementOffset: number;
  /**
   * Resolves once the event survives any kill and the loss of power: NATS has acknowledged it or, with `spool`, it is synced
   * to the disk while NATS does not answer.
   *
   * @throws DomainError UNAVAILABLE (dependency `nats` or `spool`) in bounded time. The event is sent all the same, so a
   * request that is refused for it needs a settled event too.
   */
  committed(): Promise<void>;
}

/** Publisher of usage events, with an outbox of settlements. A record is on this process's disk once its method returns. */
export interface EventPublisher extends Component {
  /** Pending settlements of earlier processes on this folder, to be sent now. */
  readonly pendingFromPreviousRun: readonly PendingSettlement[];
  /** Resolves once NATS has acknowledged every event of earlier processes on this folder. */
  readonly previousRunAcknowledged: Promise<void>;
  /** True if a part of what earlier processes wrote could not be read. */
  readonly isDamaged: boolean;
  /** Resolves to this process's claim on the folder, once it is known whether the former owner is dead. */
  readonly ownership: Promise<Ownership>;
  /** Returns true while the folder is this process's. */
  readonly isOwner: () => boolean;
  /**
   * Writes a pending settlement, before its request is sent anywhere.
   *
   * @returns its offset
   * @throws DomainError UNAVAILABLE while new requests are refused: the spool is full or cannot be written (dependency
   * `spool`), or NATS does not answer and the policy is `refuse` (dependency `nats`)
   */
  readonly enqueue: (settlement: Uint8Array) => number;
  /** Marks a pending settlement as acknowledged; offset 0 has no effect. After a kill within 50 ms it is pending again. */
  readonly complete: (offset: number) => void;
  /** Writes an event of a running request, for which space is kept. @throws DomainError as `enqueue` */
  readonly record: (record: UsageRecord) => Recorded;
  /**
   * Writes an event as `record` does, but never fails. An event that cannot be written is sent from memory: it is lost if this process is
   * killed first, and its pending settlement is not stored.
   *
   * @returns the offset of the pending settlement; 0 if there is none or it was not written
   */
  readonly recordOrSend: (record: UsageRecord) => number;
  /** Returns the spool's bytes on the disk. */
  readonly spoolBytes: () => number;
  /** Returns true while new requests are accepted: `enqueue` would not throw. */
  readonly acceptsNew: () => boolean;
  /** @throws DomainError UNAVAILABLE as `enqueue`, while new requests are refused */
  readonly requireAcceptsNew: () => void;
  /** Returns true while the spool has space for new requests, whether or not NATS answers. */
  readonly hasSpace: () => boolean;
  /** Resolves to true if NATS answers now. */
  readonly isReachable: () => Promise<boolean>;
  /** Waits up to 5 s until all events are acknowledged; the rest stays on the disk for the next process. */
  stop(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 2_000;
const DEFAULT_SPOOL_BYTES = 1024 ** 3;
/** Upper bound of an encoded event. Events have no text of unbounded size: a larger event is a bug of the caller. */
export const MAX_EVENT_BYTES = 48 * 1024;
const FLUSH_TIMEOUT_MS = 5_000;
const PREVIOUS_RUN_CHECK_MS = 50;

/**
 * Opens the spool and sends its events, those of earlier processes first. Connects, and reconnects, in the background for
 * ever.
 *
 * @throws SpoolInUse if another running process has the folder
 * @throws Error of the file system
 */
export function openPublisher(options: EventPublisherOptions): EventPublisher {
  const { log, name, folder, maxBytes = DEFAULT_SPOOL_BYTES } = options;
  const { natsOutage = "spool", timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const spool = Spool.open({ folder, maxBytes, log });
  let layout: StreamLayout | undefined;
  const declare = watchOwner(options, (session) => ensureStream(session, options));
  const connection = openConnection(options, async (session) => {
    layout = await declare(session);
  });
  const ownership = claimOwnership(folder, log);
  const listeners = new AcknowledgementListeners();
  const previousRun = Promise.withResolvers<void>();
  const sender: Sender = new Sender({
    spool,
    connection,
    layout: () => layout,
    log,
    onAcknowledged(first, last) {
      commitWait.acknowledged(first, last);
      listeners.acknowledged(first, last);
    },
    onFailure: () => commitWait.check(),
  });
  const isDisconnected = (): boolean => connection.session() === undefined || sender.isFailing;
  const commitWait = new CommitWait({ spool, natsOutage, timeoutMs, isDisconnected });
  const refusalOfNew = (): DomainError | undefined => {
    if (natsOutage === "refuse" && connection.disconnectedForMs() > timeoutMs)
      return unavailable("nats", "NATS does not answer");
    return spool.hasSpace ? undefined : unavailable("spool", "the spool is full");
  };
  const requireAcceptsNew = (): void => {
    const refusal = refusalOfNew();
    if (refusal !== undefined) throw refusal;
  };
  const append: Spool["append"] = (entry) => {
    try {
      return spool.append(entry);
    } catch (error) {
      throw error instanceof SpoolFull ? unavailable("spool", error.message, error) : error;
    }
  };
  const appendEvent = (usageRecord: UsageRecord, isAwaited: boolean): EntryOffsets => {
    const { isNewRequest, onAcknowledged } = usageRecord;
    if (isNewRequest === true) requireAcceptsNew();
    const offsets = append(usageRecord);
    if (onAcknowledged !== undefined) listeners.add(offsets.eventOffset, onAcknowledged);
    sender.notify(isAwaited);
    return offsets;
  };
  const checkPreviousRun = (): void => {
    if (!spool.previousRun.hasEvents) previousRun.resolve();
    else setTimeout(checkPreviousRun, PREVIOUS_RUN_CHECK_MS).unref();
  };
  checkPreviousRun();

  return {
    name: `event publisher ${name}`,
    pendingFromPreviousRun: spool.previousRun.pendingSettlements,
    previousRunAcknowledged: previousRun.promise,
    isDamaged: spool.previousRun.isDamaged,
    ownership,
    isOwner: spool.lock.isHeld,
    enqueue(settlement) {
      requireAcceptsNew();
      return append({ pendingSettlement: settlement, isNewRequest: true }).pendingSettlementOffset;
    },
    complete(offset) {
      if (offset > 0) spool.complete(offset);
    },
    record(usageRecord) {
      requireSize(usageRecord);
      const { eventOffset, pendingSettlementOffset } = appendEvent(usageRecord, true);
      return { pendingSettlementOffset, committed: () => commitWait.untilCommitted(eventOffset) };
    },
    recordOrSend(usageRecord) {
      requireSize(usageRecord);
      try {
        return appendEvent(usageRecord, false).pendingSettlementOffset;
      } catch (error) {
        log.error({ err: error }, "usage event not recorded in the spool: sent from memory");
        sender.sendUnspooled(usageRecord);
        return 0;
      }
    },
    spoolBytes: () => spool.bytes,
    acceptsNew: () => refusalOfNew() === undefined,
    requireAcceptsNew,
    hasSpace: () => spool.hasSpace,
    isReachable: () => connection.isReachable(),
    async stop() {
      const lostEvents = await sender.stop(FLUSH_TIMEOUT_MS);
      if (lostEvents > 0)
        log.error({ events: lostEvents }, "usage events lost: neither recorded nor sent before the stop");
      commitWait.rejectAll(unavailable("nats", "the event publisher stopped before NATS answered"));
      (await ownership).close();
      await Promise.all([connection.stop(), spool.close()]);
    },
  };
}

/** Listeners for the acknowledgement of single events, keyed by offset: cheaper than a promise for each. */
class AcknowledgementListeners {
  readonly #listeners = new Map<number, () => void>();

  add(offset: number, listener: () => void): void {
    this.#listeners.set(offset, listener);
  }

  acknowledged(first: number, last: number): void {
    if (this.#listeners.size === 0) return;
    for (let offset = first; offset <= last; offset++) {
      const listener = this.#listeners.get(offset);
      if (listener === undefined) continue;
      this.#listeners.delete(offset);
      listener();
    }
  }
}

function requireSize({ event }: UsageRecord): void {
  if (event.length > MAX_EVENT_BYTES) throw new RangeError(`a usage event of ${event.length} bytes`);
}

/** Converts an event to a record without a settlement. */
export function toUsageRecord(event: UsageEvent): UsageRecord {
  const { request, phase } = event;
  const { namespaceId = "" } = (phase.case === "unloggedDenials" ? phase.value : request) ?? {};
  return { event: toBinary(UsageEventSchema, event), namespaceId };
}
