/**
 * Gate that every inference request passes before its body is read: the bound of running requests, and the order in which requests
 * start while the process has more to do than it can.
 *
 * Algorithm: (1) A request is refused if the running requests of all callers and those of its namespace, both counted with this one, add up
 * to more than the bound: so one namespace alone gets half of it, and two get a third each. (2) It starts at once if none waits, and eight
 * small ones, or one large, have not yet started in this turn of the event loop. (3) Otherwise it waits in the queue of its namespace. The
 * namespaces take turns (`FairQueue`), with as many starts in each turn of the event loop. (4) A request that has waited for too long when
 * its turn comes is refused then. (5) A namespace that floods is held back while others are served (`FloodPace`). Waits are counted in
 * turns of the event loop, each as 100 ms at most: a machine that stands still for seconds makes no request late.
 *
 * Eight in a turn: a request of another namespace waits for eight at most, and answers of running ones are handled in between. With fewer,
 * the fixed cost of a turn (the poll, a write to the spool) would matter; without a bound, all that have arrived would come first.
 * Repeating a refused request is cheap for its client, but not for the gateway. So no request is refused at once because of its expected
 * wait: a client that waits for its answer sends nothing.
 *
 * Cost: constant time; a promise only for a request that waits; a timer only while a flood is held back, in which the event loop sleeps.
 * Concurrency: one for each process, used on its one thread.
 * Failures: a request that is cancelled while it waits is rejected at its turn, and holds its place among the running ones until then.
 */
import { counter } from "@routeplane/runtime";
import { Refusal } from "../errors/refusal.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";
import { FairQueue, Flow } from "./fair-queue.ts";
import { FloodPace } from "./flood-pace.ts";
import type { LoopTimes } from "./spare-time.ts";

const shed = counter({
  name: "routeplane_gateway_shed_requests_total",
  help: "Requests refused to shed load, by reason: running (too many at once), waited (not started in time).",
  labels: ["reason"],
});

/** Work that starts in one turn of the event loop: that of a small request is one. */
const WORK_PER_TURN = 8;
/** Time after which a gate checks again whether requests that are held back may start. */
const PAUSE_MS = 1;
/** Maximum number of requests that are refused for each that starts, so that refusals do not delay requests that are served. */
const REFUSALS_PER_START = 4;
/** Longest time that a turn counts. */
const MAX_TURN_MS = 100;
/** Bytes of a body whose work is about that of a small request. */
const BYTES_OF_WORK = 128 << 10;
/** Maximum number of namespaces without requests that are kept because they owe. */
const MAX_OWING = 1_024;

export interface LoadGateOptions {
  /** Bound of the requests that run or wait. 8,192 by default: silent streams take 114 KiB each. */
  readonly maxRunning?: number;
  /** Longest wait of a request for its start, in milliseconds. 10,000 by default. */
  readonly maxWaitMs?: number;
  /** Monotonic clock in milliseconds. */
  readonly now?: () => number;
  /** Calls back at the end of this turn of the event loop. */
  readonly atTurnEnd?: (callback: () => void) => void;
  /** Calls back after a pause. */
  readonly afterPause?: (callback: () => void, pauseMs: number) => void;
  /** Times of the event loop of this thread. */
  readonly loopTimes?: () => LoopTimes;
}

/** Defaults of `LoadGateOptions`. */
export const MAX_RUNNING_REQUESTS = 8_192;
export const MAX_WAIT_MS = 10_000;

/** Request that waits for its start. */
interface Waiting {
  readonly load: NamespaceLoad;
  readonly work: number;
  readonly since: number;
  readonly signal: CancelSignal;
  readonly start: () => void;
  readonly reject: (error: Error) => void;
}

/** Requests of one namespace. */
class NamespaceLoad extends Flow<Waiting> {
  readonly namespaceId: string;
  /** Requests that run or wait. */
  running = 0;

  constructor(namespaceId: string) {
    super();
    this.namespaceId = namespaceId;
  }
}

/** Place of one request among those that run. */
export interface RunningPlace {
  /** Resolves when the request may start; undefined if it may at once. @throws Refusal 503 */
  readonly turn: Promise<void> | undefined;
  /** Charges the namespace for the part of a body of this size that was not announced. Called once. */
  charge(bodyBytes: number): void;
  /** Gives the place up. Called once. */
  leave(): void;
}

export class LoadGate {
  readonly #maxRunning: number;
  readonly #maxWaitMs: number;
  readonly #now: () => number;
  readonly #atTurnEnd: (callback: () => void) => void;
  readonly #afterPause: (callback: () => void, pauseMs: number) => void;
  readonly #pace: FloodPace;
  readonly #queue = new FairQueue<Waiting, NamespaceLoad>();
  /** Namespaces with requests, and those that owe. */
  readonly #loads = new Map<string, NamespaceLoad>();
  /** Namespaces without requests that owed when their last one ended, the longest ago first. */
  readonly #owing = new Set<string>();
  readonly #onTurnEnd = (): void => this.#endTurn();
  readonly #onPauseEnd = (): void => this.#endPause();
  readonly #mayStart = ({ namespaceId, items }: NamespaceLoad): boolean =>
    this.#pace.takeStart(namespaceId, items.size);
  #running = 0;
  /** True if the end of this turn will be reported. */
  #isTurnOpen = false;
  #isPausing = false;
  /** Work that has started in this turn. */
  #workOfTurn = 0;
  /** Time of the last end of a turn after which requests still waited. */
  #turnBeganAt: number | undefined;
  /** Clock of the waits, which advances at the end of a turn. */
  #clockMs = 0;

  constructor(options: LoadGateOptions = {}) {
    const { maxRunning = MAX_RUNNING_REQUESTS, maxWaitMs = MAX_WAIT_MS } = options;
    const { now = () => performance.now(), atTurnEnd = setImmediate, afterPause = setTimeout } = options;
    const { loopTimes = () => performance.eventLoopUtilization() } = options;
    this.#maxRunning = maxRunning;
    this.#maxWaitMs = maxWaitMs;
    this.#now = now;
    this.#atTurnEnd = atTurnEnd;
    this.#afterPause = afterPause;
    this.#pace = new FloodPace(now, loopTimes);
  }

  /** Requests that run or wait. */
  get running(): number {
    return this.#running;
  }

  /** Namespaces that have requests or owe. */
  get namespaces(): number {
    return this.#loads.size;
  }

  /** Requests that wait for their start. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * @param bodyBytes announced size of the body; 0 if there is none
   * @param signal of the request: cancelled, it does not start
   * @throws Refusal 503 if there is no place for it
   */
  enter(namespaceId: string, bodyBytes: number, signal: CancelSignal): RunningPlace {
    const known = this.#loads.get(namespaceId);
    if (this.#running + 1 + (known?.running ?? 0) + 1 > this.#maxRunning) throw overloaded("running");
    const load = known ?? new NamespaceLoad(namespaceId);
    if (known === undefined) this.#loads.set(namespaceId, load);
    else this.#owing.delete(namespaceId);
    this.#pace.arrived(namespaceId, load.items.size);
    load.running++;
    this.#running++;
    const leave = (): void => {
      this.#running--;
      if (--load.running === 0) this.#forget(namespaceId, load);
    };
    const work = workOf(bodyBytes);
    const charge = (bytes: number): void => this.#charge(load, workOf(bytes) - work);
    return { turn: this.#turnOf(load, work, signal), charge, leave };
  }

  /** Forgets a namespace without requests, unless it owes: its next request would come first. Of those that owe it keeps the last ones. */
  #forget(namespaceId: string, load: NamespaceLoad): void {
    if (!load.owes) {
      this.#loads.delete(namespaceId);
      return;
    }
    this.#owing.add(namespaceId);
    if (this.#owing.size <= MAX_OWING) return;
    const [first = ""] = this.#owing;
    this.#owing.delete(first);
    this.#loads.delete(first);
  }

  #charge(load: NamespaceLoad, work: number): void {
    if (work <= 0) return;
    this.#openTurn();
    this.#workOfTurn += work;
    this.#queue.charge(load, work);
  }

  #turnOf(load: NamespaceLoad, work: number, signal: CancelSignal): Promise<void> | undefined {
    this.#openTurn();
    if (this.#queue.size === 0 && this.#hasRoom) {
      this.#workOfTurn += work;
      return undefined;
    }
    return new Promise((start, reject) => {
      this.#queue.push(load, { load, work, since: this.#clockMs, signal, start, reject });
    });
  }

  /** True if one more request may start in this turn. */
  get #hasRoom(): boolean {
    return this.#workOfTurn < WORK_PER_TURN;
  }

  #openTurn(): void {
    if (this.#isTurnOpen) return;
    this.#isTurnOpen = true;
    this.#atTurnEnd(this.#onTurnEnd);
  }

  #endTurn(): void {
    this.#isTurnOpen = false;
    this.#workOfTurn = 0;
    if (this.#queue.size === 0) {
      this.#turnBeganAt = undefined;
      return;
    }
    const now = this.#now();
    this.#clockMs += Math.min(now - (this.#turnBeganAt ?? now), MAX_TURN_MS);
    this.#turnBeganAt = now;
    const mayFloodsStart = this.#pace.beginTurn();
    while (this.#queue.size > 0 && this.#hasRoom && this.#startNext());
    if (mayFloodsStart || !this.#hasRoom) this.#openTurn();
    else this.#pause();
  }

  /** Checks again after a pause, in which the event loop may sleep. A request that comes meanwhile has its own turn. */
  #pause(): void {
    if (this.#isPausing) return;
    this.#isPausing = true;
    this.#afterPause(this.#onPauseEnd, PAUSE_MS);
  }

  #endPause(): void {
    this.#isPausing = false;
    if (!this.#isTurnOpen) this.#endTurn();
  }

  /**
   * Starts the next request. Those before it that have waited for too long are refused, up to a few.
   *
   * @returns false if none may start in this turn
   */
  #startNext(): boolean {
    for (let refused = 0; ; refused++) {
      const waiting = this.#queue.shift(this.#mayStart);
      if (waiting === undefined) return false;
      const { load, work, since, signal, start, reject } = waiting;
      if (signal.aborted) reject(new Error("the request was cancelled"));
      else if (this.#clockMs - since > this.#maxWaitMs && refused < REFUSALS_PER_START) reject(overloaded("waited"));
      else {
        this.#workOfTurn += work;
        this.#queue.charge(load, work - 1);
        start();
        return true;
      }
    }
  }
}

/** Work of a request with a body of this size. */
function workOf(bodyBytes: number): number {
  return 1 + Math.floor(bodyBytes / BYTES_OF_WORK);
}

function overloaded(reason: "running" | "waited"): Refusal {
  shed.inc({ reason });
  const message = "the gateway has more requests than it can serve; try again";
  return new Refusal("overloaded", message, { retryAfter: "1" });
}
