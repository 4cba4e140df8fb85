import { setTimeout as delay } from "node:timers/promises";
import type { CallOptions } from "@connectrpc/connect";

export interface ChangeWatchOptions {
  /** Calls the service whose changes they are: a method that streams them. */
  readonly call: (options: CallOptions) => AsyncIterable<{ readonly sequence: bigint; readonly subjectId: string }>;
  /** Milliseconds, as `performance.now`. */
  readonly monotonic: () => number;
  readonly onChange: (subjectId: string) => void;
  /** Changes were missed since everything was last known, which was then. */
  readonly onGap: (knownAt: number) => void;
}

/** Hears of every change that a service announces, or knows that it does not. */
export interface ChangeWatch {
  /** Whether every change is known, but for those of the last moment. */
  isLive(): boolean;
  /** When everything was last known, by the monotonic clock; before that, long ago. */
  knownAt(): number;
  stop(): Promise<void>;
}

/** A service with a feed speaks every second. After this nothing is known any more, and the call is given up for another. */
export const SILENCE_MS = 2_500;
const RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 1_000;

/**
 * Calls again whenever a call ends. Numbers go on from call to call and from one process of the service to the next, so a new call that
 * begins with the number that the last one ended with has missed nothing.
 */
export function watchChanges({ call, monotonic, onChange, onGap }: ChangeWatchOptions): ChangeWatch {
  const stopping = new AbortController();
  let last: bigint | undefined;
  let knownAt = -Infinity;

  const take = (sequence: bigint, subjectId: string): void => {
    const expected = subjectId === "" ? (last ?? sequence) : last === undefined ? undefined : last + 1n;
    if (sequence !== expected) onGap(knownAt);
    else if (subjectId !== "") onChange(subjectId);
    last = sequence;
    knownAt = monotonic();
  };

  /** @returns whether anything was heard */
  const watch = async (): Promise<boolean> => {
    const silent = new AbortController();
    const timer = setTimeout(() => silent.abort(), SILENCE_MS).unref();
    let heard = false;
    try {
      const signal = AbortSignal.any([stopping.signal, silent.signal]);
      for await (const { sequence, subjectId } of call({ signal, timeoutMs: 0 })) {
        take(sequence, subjectId);
        timer.refresh();
        heard = true;
      }
    } catch {
      // However it ended: what counts is when it was last heard of.
    } finally {
      clearTimeout(timer);
    }
    return heard;
  };

  const run = async (): Promise<void> => {
    for (let waitMs = RECONNECT_MS; !stopping.signal.aborted; waitMs = Math.min(waitMs * 2, MAX_RECONNECT_MS)) {
      if (await watch()) waitMs = RECONNECT_MS;
      await delay(waitMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    }
  };
  const running = run();

  return {
    isLive: () => monotonic() - knownAt <= SILENCE_MS,
    knownAt: () => knownAt,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
