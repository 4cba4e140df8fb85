import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "./log.ts";
import { gauge } from "./operations/metrics.ts";
import type { Watched } from "./watched.ts";

/** Maximum size of a file with a secret. */
export const MAX_SECRET_BYTES = 64 * 1024;
/** Interval at which files are checked. A change takes effect at the second check that finds it: within 1 s. */
const POLL_INTERVAL_MS = 500;

/** Reason why a file, or its content, cannot be used as a secret. Never repeats the content. */
export class SecretFault extends Error {
  override readonly name = "SecretFault";
}

/** File that holds a secret. */
export interface SecretFile {
  /** Name of the secret in the log and in metrics: its variable, e.g. `ROUTEPLANE_DATABASE_URL`. */
  readonly name: string;
  readonly path: string;
}

/**
 * Files with secrets that a process has read, and that it keeps checking while it runs. Files are polled by name rather than watched: a
 * rename over the file, a swap of the directory behind it (`..data` of a Kubernetes volume) and a network file system all look alike. A
 * file that cannot be used (missing, empty, too large, malformed) is logged, and the previous value stays in use.
 */
export class SecretFiles {
  readonly #files: Pick<WatchedFiles<unknown>, "names" | "state" | "poll">[] = [];

  /**
   * Reads files that together make one value, e.g. a certificate and its key, and adds them to those that are watched.
   *
   * @param parse converts the texts, without blanks around them; throws SecretFault for what cannot be used
   * @throws SecretFault
   */
  open<T>(files: readonly SecretFile[], parse: (texts: readonly string[]) => T): Watched<T> {
    const file = new WatchedFiles(files, parse);
    this.#files.push(file);
    return file;
  }

  /** Starts to watch all files that were and will be opened. Returns the component to be stopped with the process. */
  watch(log: Logger): { readonly name: string; stop(): Promise<void> } {
    const stopped = new AbortController();
    const { signal } = stopped;
    this.#registerMetrics();
    const poll = async (): Promise<void> => {
      while (!signal.aborted) {
        for (const file of this.#files) await file.poll(log);
        await delay(POLL_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => {});
      }
    };
    void poll();
    return { name: "watch of secret files", stop: async () => stopped.abort() };
  }

  #registerMetrics(): void {
    const read = (figure: keyof SecretState) => () =>
      this.#files.flatMap(({ names, state }) => names.map((secret) => ({ labels: { secret }, value: state[figure] })));
    const labels = ["secret"] as const;
    gauge({
      name: "routeplane_secret_read_timestamp_seconds",
      merge: "min",
      help: "Time at which the value of a secret that is in force was read from its file.",
      labels,
      read: read("readAt"),
    });
    gauge({
      name: "routeplane_secret_file_faulty",
      merge: "max",
      help: "1 while the file of a secret cannot be used, so that the former value stays in force.",
      labels,
      read: read("faulty"),
    });
  }
}

/** Figures of a secret, for metrics. */
interface SecretState {
  /** Time at which the present value was read, in seconds since the epoch. */
  readAt: number;
  faulty: 0 | 1;
}

class WatchedFiles<T> implements Watched<T> {
  readonly names: readonly string[];
  readonly state: SecretState = { readAt: Date.now() / 1_000, faulty: 0 };
  readonly #paths: readonly string[];
  readonly #parse: (texts: readonly string[]) => T;
  readonly #listeners = new Set<(value: T) => void>();
  #texts: readonly string[];
  #current: T;
  /** Version of the files at the last check, and the version whose content was read last. */
  #seen = "";
  #read = "";

  constructor(files: readonly SecretFile[], parse: (texts: readonly string[]) => T) {
    this.names = files.map(({ name }) => name);
    this.#paths = files.map(({ path }) => path);
    this.#parse = parse;
    this.#texts = this.#paths.map(readSecretFile);
    this.#current = parse(this.#texts);
  }

  get current(): T {
    return this.#current;
  }

  onChange(listener: (value: T) => void): () => void {
    // A separate subscription, even for a function that is already subscribed.
    const call = (value: T): void => listener(value);
    this.#listeners.add(call);
    return () => void this.#listeners.delete(call);
  }

  /** Reads the files if they have changed and have stopped changing, i.e. have the version of the last check. Never throws. */
  async poll(log: Logger): Promise<void> {
    const { names: secrets, state } = this;
    const files = this.#paths;
    const version = (await Promise.all(files.map(versionOf))).join();
    const isSettled = version === this.#seen;
    this.#seen = version;
    if (!isSettled || version === this.#read) return;
    this.#read = version;
    try {
      const texts = files.map(readSecretFile);
      if (texts.every((text, index) => text === this.#texts[index])) {
        if (state.faulty) log.info({ secrets, files }, "secret file is valid again");
        state.faulty = 0;
        return;
      }
      this.#current = this.#parse(texts);
      this.#texts = texts;
      Object.assign(state, { readAt: Date.now() / 1_000, faulty: 0 });
      log.info({ secrets, files }, "secret replaced");
    } catch (error) {
      state.faulty = 1;
      log.error({ secrets, files, fault: faultOf(error) }, "secret not replaced: the former value stays in use");
      return;
    }
    for (const listener of this.#listeners) this.#notify(listener, log);
  }

  #notify(listener: (value: T) => void, log: Logger): void {
    try {
      listener(this.#current);
    } catch (error) {
      log.error({ secrets: this.names, fault: faultOf(error) }, "secret replaced, but not in every use of it");
    }
  }
}

/** Version of a file: changes whenever its content, or the file behind its name, changes. Links are followed. */
async function versionOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch (error) {
    return codeOf(error);
  }
}

/**
 * Reads the secret in a file, without blanks and line ends around it.
 *
 * @throws SecretFault if it is not a regular file, is empty or has more than `MAX_SECRET_BYTES`
 */
export function readSecretFile(path: string): string {
  const text = readBounded(path).toString("utf8").trim();
  if (text === "") throw new SecretFault(`${path} is empty`);
  return text;
}

function readBounded(path: string): Buffer {
  let descriptor: number | undefined;
  try {
    // Does not wait for the writer of a pipe.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(descriptor).isFile()) throw new SecretFault(`${path} is no regular file`);
    const bytes = Buffer.alloc(MAX_SECRET_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(descriptor, bytes, length, bytes.length - length, length);
    }
    if (length > MAX_SECRET_BYTES) throw new SecretFault(`${path} is larger than ${MAX_SECRET_BYTES / 1024} KiB`);
    return bytes.subarray(0, length);
  } catch (error) {
    throw error instanceof SecretFault ? error : new SecretFault(`${path} cannot be read (${codeOf(error)})`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "error";
}

/** Text of a fault for the log. The message of an error other than a SecretFault could repeat the secret. */
function faultOf(error: unknown): string {
  return error instanceof SecretFault ? error.message : `failed (${error instanceof Error ? error.name : "error"})`;
}
