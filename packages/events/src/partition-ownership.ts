import type { Logger } from "@routeplane/runtime";
import { wait } from "./connection.ts";

/** One process that consumes, and the partitions that it owns. */
export interface Replica {
  readonly id: string;
  readonly partitions: readonly number[];
}

/** Registry of the processes that share the partitions of one installation. */
export interface ReplicaRegistry {
  /** Id of this process, of this run alone. */
  readonly id: string;
  /**
   * Reads the processes whose registration has not ended, this one included, and registers this process for `durationMs` with the
   * partitions that `choose` returns. Runs under a lock that all processes share.
   *
   * @throws Error if the registry does not answer; the registration stays as it is then
   */
  exchange(durationMs: number, choose: (replicas: readonly Replica[]) => readonly number[]): Promise<void>;
  /** Ends the registration of this process. */
  leave(): Promise<void>;
}

/** Time that a registration lasts: after it others take the partitions of a process that was killed or is frozen. */
const DURATION_MS = 4_000;
const RENEWAL_MS = 1_000;

/**
 * Partitions that this process owns, each owned by one process at a time and shared out evenly.
 *
 * A process that loses a partition first finishes its batch. Until then it reports the partition as busy, and no other process takes it. A
 * process that froze may continue for a moment after others took over: each request still gets one row, by de-duplication.
 */
export class PartitionOwnership {
  readonly #registry: ReplicaRegistry;
  readonly #log: Logger;
  readonly #stopped: AbortSignal;
  readonly #onChange: () => void;
  readonly #durationMs: number;
  readonly #running: Promise<void>;
  #count: number | undefined;
  #owned: readonly number[] = [];
  #busy: readonly number[] = [];
  #validUntil = 0;
  #wake = Promise.withResolvers<void>();

  /**
   * @param onChange called when `owned` has changed, but not when it became empty because a renewal is late
   * @param durationMs time that a registration lasts
   */
  constructor(
    registry: ReplicaRegistry,
    log: Logger,
    stopped: AbortSignal,
    onChange: () => void,
    durationMs = DURATION_MS,
  ) {
    this.#durationMs = durationMs;
    this.#registry = registry;
    this.#onChange = onChange;
    this.#log = log;
    this.#stopped = stopped;
    this.#running = this.#run();
  }

  /** Partitions to consume now, in ascending order. */
  get owned(): readonly number[] {
    return performance.now() < this.#validUntil ? this.#owned : [];
  }

  /** Takes part in the sharing of `count` partitions; undefined while this process cannot consume. */
  participate(count: number | undefined): void {
    this.#count = count;
    this.#wake.resolve();
  }

  /** Reports the partitions that are being consumed: they stay this process's until a later report. */
  report(busy: readonly number[]): void {
    this.#busy = busy;
  }

  /** Gives up all partitions, once `stopped` is aborted and nothing is consumed any more. */
  async end(): Promise<void> {
    await this.#running;
    await this.#leave();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.aborted) {
      this.#wake = Promise.withResolvers<void>();
      await this.#renew();
      await Promise.race([this.#wake.promise, wait(RENEWAL_MS, this.#stopped)]);
    }
  }

  async #renew(): Promise<void> {
    const count = this.#count;
    if (count === undefined) {
      if (this.#validUntil > 0 && this.#busy.length === 0) await this.#leave();
      return this.#set([]);
    }
    const askedAt = performance.now();
    let chosen: readonly number[] = [];
    try {
      await this.#registry.exchange(this.#durationMs, (replicas) => {
        const { id } = this.#registry;
        chosen = choosePartitions(id, replicas, count);
        const own = replicas.find((replica) => replica.id === id)?.partitions ?? [];
        return [...new Set([...chosen, ...own.filter((partition) => this.#busy.includes(partition))])];
      });
      // Callers that saw the former registration end wait for a change, even if the partitions are the same.
      const hadEnded = this.#owned.length > 0 && this.owned.length === 0;
      this.#validUntil = askedAt + this.#durationMs;
      this.#set(chosen, hadEnded);
    } catch (error) {
      if (this.owned.length > 0) return;
      this.#set([]);
      this.#log.warn({ err: error }, "joining the partition group failed; retrying");
    }
  }

  async #leave(): Promise<void> {
    try {
      await this.#registry.leave();
      this.#validUntil = 0;
    } catch (error) {
      this.#log.warn({ err: error }, "releasing partitions failed: they expire in 4 s");
    }
  }

  #set(owned: readonly number[], hadEnded = false): void {
    if (owned.join() === this.#owned.join()) {
      if (hadEnded) this.#onChange();
      return;
    }
    this.#owned = owned;
    this.#log.info({ partitions: owned }, "partitions assigned");
    this.#onChange();
  }
}

/**
 * Chooses the partitions of one process: as many as its even share, first those that it has, then free ones. The first
 * processes, in the order of their ids, have one more where the partitions do not divide evenly.
 */
export function choosePartitions(id: string, replicas: readonly Replica[], count: number): readonly number[] {
  const ids = [...new Set([...replicas.map((replica) => replica.id), id])].toSorted();
  const share = Math.floor(count / ids.length) + (ids.indexOf(id) < count % ids.length ? 1 : 0);
  const taken = new Set(replicas.filter((replica) => replica.id !== id).flatMap(({ partitions }) => partitions));
  const own = new Set(replicas.find((replica) => replica.id === id)?.partitions);
  const available = Array.from({ length: count }, (_, partition) => partition).filter(
    (partition) => !taken.has(partition),
  );
  const kept = available.filter((partition) => own.has(partition));
  const free = available.filter((partition) => !own.has(partition));
  return [...kept, ...free].slice(0, share).toSorted((left, right) => left - right);
}
