/**
 * End of gateway sessions that are lost: nobody reports their requests, so that they are settled from the usage log.
 *
 * 1. An `ended` session asks the log for its position, and waits until everything that was in the stream then is recorded. The end is
 *    committed before, so that nothing is admitted on the session's slices any more.
 * 2. Namespace by namespace, each once: every logged request without a row gets one. It is charged as the log says, or reserved with its
 *    bound if the log says that it runs; it expires as every reservation does. Of what is left outstanding then, the part that may be in doubt
 *    is held back, and the rest is free. With the last namespace the session is `settled`.
 * 3. After each of `sweepsAfterMs` the log is read again for late records: replayed dead letters, events of a spool that was found again,
 *    settlements. They are charged and corrected, and lower what is held back.
 * 4. The last of these sweeps frees what is still held back, reports it as unaccounted, and makes the session `closed`. A complete close by
 *    its owner ends it at any time.
 *
 * Every step is a transaction that has no effect if it was done before. So after a process dies between two steps, another one continues,
 * and two at once do no harm; a claim of some seconds keeps that rare. While the usage service or its log is behind, a session waits, and
 * all of it stays reserved.
 */
import type { Id } from "@routeplane/domain";
import type { ReservationKey } from "../ports.ts";
import { releaseClosed } from "./gateway-sessions.ts";
import { eachDespiteFaults, inEachNamespace } from "./despite-faults.ts";
import type { ReportStore, SessionStore, SliceStore } from "./ports.ts";
import { faultOf, type ReportedEnd, requestName, type SettlementReport } from "./reports.ts";

/** Times after which the log is asked again for a settled session; the last one closes it. Milliseconds. */
export const SWEEPS_AFTER_MS: readonly number[] = [60_000, 600_000, 3_600_000, 86_400_000];

/** Largest difference between the clocks of gateways and database within which requests of a session are found. */
const CLOCK_MARGIN_MS = 3_600_000;
/** Time for which a session is claimed, renewed with each page: after it others go on where a killed process stopped. */
const CLAIM_MS = 15_000;

/** Lost session with work to do. */
export interface LostSession {
  readonly id: Id<"gws">;
  readonly state: "ended" | "settled";
  readonly openedAt: Date;
  readonly endedAt: Date;
  /** Position of the log that the session waits for; undefined until the log was asked. */
  readonly askedAt: bigint | undefined;
  /** Number of sweeps since it was settled. */
  readonly sweeps: number;
}

/** Request that was admitted on slices, as the usage log knows it. */
export interface SessionRequest {
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
  readonly limitSet: number;
  readonly countedAtMs: number | undefined;
  readonly boundNano: bigint;
  readonly tokensMax: bigint;
  /** End of the request; undefined while it runs. */
  readonly end: ReportedEnd | undefined;
  /** Moment from which it counts as lost; undefined once it is over. */
  readonly expiresAt: Date | undefined;
}

/** Position in the usage log; the numbers mean nothing else. */
export interface Position {
  readonly now: bigint;
  /** Position up to which everything in the stream is recorded. */
  readonly consumed: bigint;
}

/** Usage log. Its methods throw DomainError UNAVAILABLE. */
export interface SessionLog {
  position(): Promise<Position>;
  /** Requests of a session that were received in a range of time, in pages of at most 1,000. */
  pages(
    namespaceId: Id<"ns">,
    sessionId: Id<"gws">,
    range: { readonly from: Date; readonly to: Date },
  ): AsyncIterable<readonly SessionRequest[]>;
}

/** Running request that becomes a reservation. */
export type RunningRequest = Omit<SessionRequest, "end">;

/** Store of the ends of sessions. Each call is one transaction. */
export interface EndingStore {
  /** Lost sessions with work to do that nobody has claimed, the longest lost first. @param sweepsAfterMs times since they were settled */
  due(sweepsAfterMs: readonly number[]): Promise<readonly LostSession[]>;
  /** Settled sessions that nobody has claimed, also if no sweep is due. */
  settledSessions(): Promise<readonly LostSession[]>;
  /** Counts the lost sessions of the node. */
  lost(): Promise<{ readonly ended: number; readonly settled: number; readonly oldestSecs: number }>;
  /** Claims a session, or renews the claim. @returns false if another process has claimed it, or it is closed */
  claim(sessionId: Id<"gws">, forMs: number, isRenewal: boolean): Promise<boolean>;
  /** Ends the claim. */
  unclaim(sessionId: Id<"gws">): Promise<void>;
  /** Stores the position at which the log was asked. */
  ask(sessionId: Id<"gws">, position: bigint): Promise<void>;
  /** True if the session is settled in the namespace. */
  isSettledIn(sessionId: Id<"gws">, namespaceId: Id<"ns">): Promise<boolean>;
  /** States of the rows that these requests have, by `requestName`. */
  rowStates(namespaceId: Id<"ns">, keys: readonly ReservationKey[]): Promise<ReadonlyMap<string, string>>;
  /** Makes reservations of running requests that have no row; what they reserve is taken from the slices. */
  reserve(sessionId: Id<"gws">, namespaceId: Id<"ns">, requests: readonly RunningRequest[]): Promise<void>;
  /** Frees what is outstanding of an ended session in the namespace, except what may be in doubt. Has an effect once. */
  settleIn(sessionId: Id<"gws">, namespaceId: Id<"ns">): Promise<void>;
  /** Marks the session as settled in all namespaces. */
  settle(sessionId: Id<"gws">): Promise<void>;
  /** Stores the number of sweeps that were done. */
  sweep(sessionId: Id<"gws">, sweeps: number): Promise<void>;
  /** Frees what is held back of a settled session in the namespace, with an entry in the audit log. @returns nano-USD that were held back */
  giveUp(sessionId: Id<"gws">, namespaceId: Id<"ns">): Promise<bigint>;
}

export interface EndingsDependencies {
  readonly endings: EndingStore;
  readonly sessions: Pick<SessionStore, "close">;
  readonly slices: SliceStore;
  readonly reports: ReportStore;
  readonly log: SessionLog;
  /** Called for each namespace in which held back amounts of a session are free again without a charge. */
  readonly onUnaccounted: (amount: {
    readonly sessionId: Id<"gws">;
    readonly namespaceId: Id<"ns">;
    readonly nano: bigint;
  }) => void;
  /** Called with log records that no request can have, and with reports that could not be applied now. */
  readonly onFault: (fault: {
    readonly sessionId: Id<"gws">;
    readonly namespaceId: Id<"ns">;
    readonly cause: Error;
  }) => void;
  /** Times of the sweeps; `SWEEPS_AFTER_MS` by default. */
  readonly sweepsAfterMs?: readonly number[] | undefined;
}

export type Endings = ReturnType<typeof createEndings>;

export function createEndings(dependencies: EndingsDependencies) {
  const { endings, sessions, slices, reports, log, onUnaccounted, onFault } = dependencies;
  const { sweepsAfterMs = SWEEPS_AFTER_MS } = dependencies;

  /** Charges and reserves what the log has. @returns false if some of it could not be applied now */
  async function applyLog(session: LostSession, namespaceId: Id<"ns">): Promise<boolean> {
    const from = new Date(session.openedAt.getTime() - CLOCK_MARGIN_MS);
    const to = new Date(session.endedAt.getTime() + CLOCK_MARGIN_MS);
    let isComplete = true;
    for await (const page of log.pages(namespaceId, session.id, { from, to })) {
      if (page.length === 0) continue;
      await endings.claim(session.id, CLAIM_MS, true);
      const toNamed = (request: SessionRequest) => ({ ...request, namespaceId, sessionId: session.id });
      const named = page.map(toNamed);
      const states = await endings.rowStates(namespaceId, named);
      const due = named.filter((request) => isDue(request, states.get(requestName(request))));
      const ended = due.flatMap(({ end, ...request }) => (end === undefined ? [] : [{ ...request, end }]));
      const sound = ended.filter((report) => isSound(session.id, report));
      const outcomes = sound.length === 0 ? [] : await reports.apply(namespaceId, sound);
      if (outcomes.includes("again")) isComplete = false;
      const running = due.filter(({ end }) => end === undefined);
      if (running.length > 0) await endings.reserve(session.id, namespaceId, running);
    }
    return isComplete;
  }

  function isSound(sessionId: Id<"gws">, report: SettlementReport): boolean {
    const fault = faultOf(report);
    if (fault === undefined) return true;
    const { namespaceId, requestId } = report;
    onFault({ sessionId, namespaceId, cause: new Error(`the log has ${fault}: ${requestId}`) });
    return false;
  }

  /** Settles an ended session, but for namespaces in which not everything could be applied now. */
  async function settle(session: LostSession): Promise<void> {
    const incomplete: Id<"ns">[] = [];
    await inEachNamespace(slices, session.id, async (namespaceId) => {
      if (await endings.isSettledIn(session.id, namespaceId)) return;
      if (await applyLog(session, namespaceId)) await endings.settleIn(session.id, namespaceId);
      else incomplete.push(namespaceId);
    });
    if (incomplete.length === 0) await endings.settle(session.id);
  }

  /** Charges and corrects requests that were recorded late. The last sweep closes the session. */
  async function sweep(session: LostSession): Promise<void> {
    await applyEverywhere(session);
    if (session.sweeps + 1 < sweepsAfterMs.length) return endings.sweep(session.id, session.sweeps + 1);
    await inEachNamespace(slices, session.id, async (namespaceId) => {
      const nano = await endings.giveUp(session.id, namespaceId);
      if (nano > 0n) onUnaccounted({ sessionId: session.id, namespaceId, nano });
    });
    await sessions.close(session.id);
    await releaseClosed(slices, session.id);
  }

  /** Returns false if the log has not recorded yet what the session waits for. */
  async function isRecorded({ id, askedAt }: LostSession, { now, consumed }: Position): Promise<boolean> {
    // Positions that went back belong to a log that was restored from a copy: it is asked again.
    if (askedAt === undefined || now < askedAt) await endings.ask(id, now);
    return askedAt !== undefined && askedAt <= consumed;
  }

  /** Works on a session unless another process has claimed it. */
  async function withClaim(session: LostSession, work: (session: LostSession) => Promise<void>): Promise<void> {
    if (!(await endings.claim(session.id, CLAIM_MS, false))) return;
    try {
      await work(session);
    } finally {
      await endings.unclaim(session.id);
    }
  }

  async function applyEverywhere(session: LostSession): Promise<void> {
    await inEachNamespace(slices, session.id, (namespaceId) => applyLog(session, namespaceId));
  }

  return {
    /** Does what is due for lost sessions. @returns how many wait for the log */
    async run(): Promise<number> {
      const due = await endings.due(sweepsAfterMs);
      if (due.length === 0) return 0;
      const position = await log.position();
      let waiting = 0;
      await eachDespiteFaults(due, async (session) => {
        if (!(await isRecorded(session, position))) waiting++;
        else await withClaim(session, session.state === "settled" ? sweep : settle);
      });
      return waiting;
    },

    /**
     * Charges and corrects requests of settled sessions that were recorded late, without waiting for the next sweep, until its time is up.
     */
    async sweepNow(timeLimitMs = Infinity): Promise<void> {
      const endsAt = performance.now() + timeLimitMs;
      await eachDespiteFaults(await endings.settledSessions(), async (session) => {
        if (performance.now() < endsAt) await withClaim(session, applyEverywhere);
      });
    },
  };
}

/** True if what the log says changes the row of the request. A row that is open or was charged in full is settled by it. */
function isDue({ end }: SessionRequest, rowState: string | undefined): boolean {
  if (rowState === undefined) return true;
  return end?.kind === "settled" && (rowState === "open" || rowState === "expired");
}
