import { setTimeout as delay } from "node:timers/promises";
import type { CallOptions } from "@connectrpc/connect";
import { SequenceTracker, type SequenceTrackerOptions, FEED_TIMEOUT_MS } from "./sequence-tracker.ts";

export interface ChangeWatchOptions extends SequenceTrackerOptions {
  /** Calls the service whose changes they are: a method that streams them. */
  readonly call: (options: CallOptions) => AsyncIterable<{ readonly sequence: bigint; readonly subjectId: string }>;
}

/** Hears of every change that a service announces, or knows that it does not. */
export interface ChangeWatch extends Pick<SequenceTracker, "isLive" | "upToDateAt" | "lastSequence"> {
  stop(): Promise<void>;
}

const RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 1_000;

/** Calls again whenever a call ends, and gives one up that is silent. */
export function watchChanges({ call, ...options }: ChangeWatchOptions): ChangeWatch {
  const stopping = new AbortController();
  const numbers = new SequenceTracker(options);

  /** @returns whether anything was heard */
  const watch = async (): Promise<boolean> => {
    const silent = new AbortController();
    const timer = setTimeout(() => silent.abort(), FEED_TIMEOUT_MS).unref();
    let heard = false;
    try {
      const signal = AbortSignal.any([stopping.signal, silent.signal]);
      for await (const { sequence, subjectId } of call({ signal, timeoutMs: 0 })) {
        numbers.take(sequence, subjectId);
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
    isLive: () => numbers.isLive(),
    upToDateAt: () => numbers.upToDateAt(),
    lastSequence: () => numbers.lastSequence(),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
