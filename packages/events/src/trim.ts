import type { JetStreamManager } from "nats";
import { type Session, wait } from "./connection.ts";
import { floorOf, type Source } from "./jetstream-consumer.ts";
import { DUPLICATE_WINDOW_MS } from "./stream.ts";

export interface TrimOptions {
  /** Returns the session; undefined while another process trims, or NATS does not answer. */
  readonly session: () => Session | undefined;
  /**
   * Lists all sources of one stream, as they are at the server now: a message of a partition that is missing here would be removed
   * unread.
   */
  readonly readSources: (session: Session) => Promise<readonly Source[]>;
  readonly stopped: AbortSignal;
  /** Interval between two rounds. 5000 by default. */
  readonly intervalMs?: number;
  /** Time for which acknowledged messages are kept. The window of duplicates by default. */
  readonly keptMs?: number;
}

const INTERVAL_MS = 5_000;

/**
 * Divisor of the stream's maximum size: the share that acknowledged messages can take up, to keep their ids over a restart of the server.
 */
const KEPT_SHARE = 16;

/** Sequence number up to which every message was acknowledged at a time. */
interface Floor {
  readonly sequence: number;
  /** Monotonic time in milliseconds. */
  readonly readAt: number;
}

/**
 * Removes acknowledged messages from a stream until stopped, so that a full stream holds unacknowledged ones. Up to a sixteenth of the
 * stream's bytes they stay for the duplicate window; beyond that they are removed at once.
 */
export async function trimAcknowledged(options: TrimOptions): Promise<void> {
  const { readSources, stopped, intervalMs = INTERVAL_MS, keptMs = DUPLICATE_WINDOW_MS } = options;
  let earlier: Floor | undefined;
  while (!stopped.aborted) {
    await wait(intervalMs, stopped);
    const session = stopped.aborted ? undefined : options.session();
    if (session === undefined) {
      earlier = undefined;
      continue;
    }
    try {
      earlier = await trimOnce(session.manager, await readSources(session), keptMs, earlier);
    } catch {
      // The next round removes them.
    }
  }
}

/** Removes what can be removed now. @returns the floor to remove up to when it is as old as the window of duplicates */
async function trimOnce(
  manager: JetStreamManager,
  sources: readonly Source[],
  keptMs: number,
  earlier: Floor | undefined,
): Promise<Floor | undefined> {
  const [source] = sources;
  if (source === undefined) return undefined;
  const { stream } = source;
  const { config, state } = await manager.streams.info(stream);
  // A partition may have been added since the sources were read.
  const isKnown = (name: string): boolean => sources.some(({ subject }) => subject === name);
  if (state.messages === 0 || !config.subjects.every(isKnown)) return undefined;
  const now = performance.now();
  const isCrowded = state.bytes > config.max_bytes / KEPT_SHARE;
  const isDue = earlier === undefined || now - earlier.readAt >= keptMs;
  if (!isCrowded && !isDue) return earlier;
  const floor = { sequence: await floorOf(manager, sources, state.last_seq), readAt: now };
  // The earlier floor may be one of a stream that was lost since: the numbers of its successor begin anew.
  const removable = Math.min(floor.sequence, isCrowded ? Infinity : (earlier?.sequence ?? 0));
  if (removable >= state.first_seq) await manager.streams.purge(stream, { seq: removable + 1 });
  return floor;
}
