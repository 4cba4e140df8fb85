import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "../lifecycle.ts";
import type { Logger } from "../log.ts";
import { mergeMetrics, type MetricsSnapshot } from "../operations/metrics.ts";
import { Worker, type WorkerOptions } from "./worker.ts";

export interface WorkerGroupOptions {
  /** Number of workers, which are numbered from 1. */
  readonly count: number;
  readonly optionsOf: (index: number) => WorkerOptions;
  readonly log: Logger;
  /** Longest time of a drain of one worker. */
  readonly drainTimeoutMs: number;
}

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** Run time after which the restart delay is back at its minimum. */
const STABLE_MS = 10_000;
/** Longest time from a stop signal, or the end of the drain, to the end of a worker, which exits by itself within 10 s. */
const KILL_AFTER_MS = 11_000;

/**
 * The workers of a replica. The first is started alone, so that a fault of configuration is reported once; if it ends before it has
 * started, so does the replica. After every other end, a new worker of the same number, which uses the same folder, starts after a delay
 * that doubles from 0.1 s to 5 s.
 */
export class WorkerGroup implements Component {
  readonly name = "workers";
  readonly #options: WorkerGroupOptions;
  readonly #workers = new Map<number, Worker>();
  readonly #stopping = new AbortController();
  #runs: Promise<void>[] = [];
  /** Sums of workers that have ended: without them, counters would fall. */
  #former: MetricsSnapshot = [];

  constructor(options: WorkerGroupOptions) {
    this.#options = options;
  }

  /** Starts all workers. @throws Error if the first one cannot start; it has written why */
  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let isStarted = false;
    const onStarted = (): void => {
      isStarted = true;
      resolve();
    };
    const first = this.#run(1, onStarted, () => {
      if (!isStarted) reject(new Error("the first process could not start"));
      return isStarted;
    });
    this.#runs = [first];
    await promise;
    const { count } = this.#options;
    for (let index = 2; index <= count; index++) this.#runs.push(this.#run(index));
  }

  /** Running workers, by number. */
  get workers(): ReadonlyMap<number, Worker> {
    return this.#workers;
  }

  /** Reads the metrics of all workers and of those that have ended. */
  async readMetrics(): Promise<readonly MetricsSnapshot[]> {
    const running = await Promise.all([...this.#workers.values()].map((worker) => worker.readMetrics()));
    return [...running, this.#former];
  }

  send(signal: NodeJS.Signals): void {
    for (const worker of this.#workers.values()) worker.send(signal);
  }

  /** Drains all workers at once. Resolves when all have ended; an abort of the signal ends their drains. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.#end("SIGTERM", this.#options.drainTimeoutMs + KILL_AFTER_MS, signal);
  }

  /** Stops all workers without a drain. */
  async stop(): Promise<void> {
    await this.#end("SIGINT", KILL_AFTER_MS);
  }

  async #end(stopSignal: NodeJS.Signals, timeoutMs: number, hurry?: AbortSignal): Promise<void> {
    this.#stopping.abort();
    this.send(stopSignal);
    const onHurry = (): void => this.send("SIGINT");
    hurry?.addEventListener("abort", onHurry);
    const kill = setTimeout(() => this.send("SIGKILL"), timeoutMs);
    await Promise.all(this.#runs);
    clearTimeout(kill);
    hurry?.removeEventListener("abort", onHurry);
  }

  /** Runs workers of one number, one after the other, until the group stops or `goesOn` returns false after an end. */
  async #run(index: number, onStarted: () => void = () => {}, goesOn: () => boolean = () => true): Promise<void> {
    const { log, optionsOf } = this.#options;
    let delayMs = FIRST_DELAY_MS;
    while (!this.#stopping.signal.aborted) {
      const startedAt = performance.now();
      const worker = new Worker(optionsOf(index), onStarted);
      this.#workers.set(index, worker);
      await worker.ended;
      this.#workers.delete(index);
      this.#former = await mergeMetrics([this.#former, countersOf(worker.lastMetrics)]);
      if (this.#stopping.signal.aborted || !goesOn()) return;
      if (performance.now() - startedAt >= STABLE_MS) delayMs = FIRST_DELAY_MS;
      log.error(
        { process: index, pid: worker.pid, ending: worker.describeEnding(), restartInMs: delayMs },
        "worker process ended",
      );
      await delay(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
      delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
    }
  }
}

/** The part of a snapshot that only grows. Gauges of an ended process have no meaning. */
function countersOf(snapshot: MetricsSnapshot): MetricsSnapshot {
  // `type` is text in a snapshot, whatever its declaration says.
  return snapshot.filter(({ type }) => ["counter", "histogram"].includes(String(type)));
}
