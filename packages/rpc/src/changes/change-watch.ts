import { setTimeout as delay } from "node:timers/promises";
import type { CallOptions } from "@connectrpc/connect";
import { FEED_TIMEOUT_MS } from "../staleness.ts";
import { SequenceTracker, type SequenceTrackerOptions } from "./sequence-tracker.ts";

export interface ChangeWatchOptions extends SequenceTrackerOptions {
  /** Calls the method of a service that streams its changes. */
  readonly call: (options: CallOptions) => AsyncIterable<{ readonly sequence: bigint; readonly subjectId: string }>;
}

/** A service's change feed as its caller receives it: every change, or a report that some may be missing. */
export interface ChangeWatch extends Pick<SequenceTracker, "isLive" | "upToDateAt" | "lastSequence"> {
  stop(): Promise<void>;
}

const RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 1_000;

/** Receives the changes of a service until stopped. Calls again when a call ends, and cancels one that is silent. */
export function watchChanges({ call, ...options }: ChangeWatchOptions): ChangeWatch {
  const stopping = new AbortController();
  const tracker = new SequenceTracker(options);

  /** @returns true if anything was received */
  const receive = async (): Promise<boolean> => {
    const silent = new AbortController();
    const timer = setTimeout(() => silent.abort(), FEED_TIMEOUT_MS).unref();
    let hasReceived = false;
    try {
      const signal = AbortSignal.any([stopping.signal, silent.signal]);
      for await (const { sequence, subjectId } of call({ signal, timeoutMs: 0 })) {
        tracker.add(sequence, subjectId);
        timer.refresh();
        hasReceived = true;
      }
    } catch {
      // Errors need no handling: the tracker's time decides, and the call is made again.
    } finally {
      clearTimeout(timer);
    }
    return hasReceived;
  };

  const run = async (): Promise<void> => {
    for (let waitMs = RECONNECT_MS; !stopping.signal.aborted; waitMs = Math.min(waitMs * 2, MAX_RECONNECT_MS)) {
      if (await receive()) waitMs = RECONNECT_MS;
      await delay(waitMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    }
  };
  const running = run();

  return {
    isLive: () => tracker.isLive(),
    upToDateAt: () => tracker.upToDateAt(),
    lastSequence: () => tracker.lastSequence(),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
