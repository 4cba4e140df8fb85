import { type ChildProcess, fork } from "node:child_process";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import type { MetricsSnapshot } from "../operations/metrics.ts";
import type { OperationsAnswer, OperationsPaths } from "../operations/operations-answers.ts";
import type { WorkerMessage } from "./supervisor-channel.ts";

export interface WorkerOptions {
  /** Whole environment of the worker. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** File that holds the process id while the worker runs. */
  readonly pidFile?: string | undefined;
}

type Reply = Exclude<WorkerMessage, { started: true }>;

/** Time that a worker has to answer a question. Longer than the delay from which it counts as hung. */
const ANSWER_TIMEOUT_MS = 6_000;

/** One process of a replica: this program again, with the same arguments. It ends at once when this process ends. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #replies = new Map<number, (reply: Reply | undefined) => void>();
  readonly #pidFile: string | undefined;
  #lastId = 0;
  /** Metrics as last read; they stay part of the replica's metrics after the end of this process. */
  lastMetrics: MetricsSnapshot = [];
  /** True once all components of the worker have started. */
  hasStarted = false;
  /** Resolves once the process has ended. */
  readonly ended: Promise<void>;

  constructor({ environment, pidFile }: WorkerOptions, onStarted: () => void = () => {}) {
    const [, script = "", ...args] = process.argv;
    // Not JSON, in which a value that is not a number would become null.
    this.#child = fork(script, args, { env: environment, serialization: "advanced" });
    this.#pidFile = pidFile;
    if (pidFile !== undefined && this.#child.pid !== undefined) writePidFile(pidFile, this.#child.pid);
    this.#child.on("message", (message: WorkerMessage) => {
      if ("started" in message) {
        this.hasStarted = true;
        onStarted();
      } else this.#reply(message.id, message);
    });
    this.ended = this.#untilEnd();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Description of how the process ended. */
  describeEnding(): string {
    return this.#child.signalCode === null
      ? `exited with ${this.#child.exitCode}`
      : `was ended by ${this.#child.signalCode}`;
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks for the answer to a path of the operations port. @returns undefined if there is none in time */
  async ask(question: Exclude<keyof OperationsPaths, "/metrics">): Promise<OperationsAnswer | undefined> {
    const reply = await this.#ask(question);
    return reply !== undefined && "answer" in reply ? reply.answer : undefined;
  }

  /** Reads the metrics; those of the last read if there is no answer in time. */
  async readMetrics(): Promise<MetricsSnapshot> {
    const reply = await this.#ask("/metrics");
    if (reply !== undefined && "metrics" in reply) this.lastMetrics = reply.metrics;
    return this.lastMetrics;
  }

  async #ask(question: keyof OperationsPaths): Promise<Reply | undefined> {
    if (!this.#child.connected) return undefined;
    const id = ++this.#lastId;
    const reply = new Promise<Reply | undefined>((resolve) => this.#replies.set(id, resolve));
    const timer = setTimeout(() => this.#reply(id, undefined), ANSWER_TIMEOUT_MS);
    this.#child.send({ question, id }, (error) => {
      if (error !== null) this.#reply(id, undefined);
    });
    try {
      return await reply;
    } finally {
      clearTimeout(timer);
    }
  }

  #reply(id: number, reply: Reply | undefined): void {
    this.#replies.get(id)?.(reply);
    this.#replies.delete(id);
  }

  async #untilEnd(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#child.once("exit", () => resolve());
    // The only error that is not followed by an end: the process could not be started. Other errors concern messages to a process that is
    // just ending.
    this.#child.on("error", () => this.pid === undefined && resolve());
    await promise;
    for (const id of this.#replies.keys()) this.#reply(id, undefined);
    if (this.#pidFile !== undefined) rmSync(this.#pidFile, { force: true });
  }
}

/**
 * Replaces a pid file atomically, or removes it if it cannot be written, e.g. on a full disk, which must not prevent a restart. It is not
 * synced, because after a crash of the machine it means nothing.
 */
function writePidFile(path: string, pid: number): void {
  try {
    writeFileSync(`${path}.new`, `${pid}\n`);
    renameSync(`${path}.new`, path);
  } catch {
    rmSync(path, { force: true });
  }
}
