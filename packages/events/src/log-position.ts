import type { Logger } from "@routeplane/runtime";
import type { JetStreamManager } from "nats";
import { type Session, wait } from "./connection.ts";
import { floorOf, type Source } from "./jetstream-consumer.ts";

/** Store of the position up to which streams are handled. */
export interface PositionMarks<Mark> {
  /** Reads the present position; called before the end of the streams is read. */
  begin(): Promise<Mark>;
  /** Stores that everything that was in the streams at this position is handled. */
  end(mark: Mark): Promise<void>;
}

export interface PositionOptions<Mark> {
  /** Store of the position; undefined if it is not kept. */
  readonly marks: PositionMarks<Mark> | undefined;
  /** Returns the session; undefined while another process keeps the position, or NATS does not answer. */
  readonly session: () => Session | undefined;
  /** Lists the sources of all streams, as they are at the server now. */
  readonly readSources: (session: Session) => Promise<readonly Source[]>;
  readonly log: Logger;
  readonly stopped: AbortSignal;
  /** Time between two rounds, and between two checks of a running round. 3000 by default. */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 3_000;

/** End of a stream when a round began. */
interface StreamEnd {
  /** Time at which the server made the stream: another one of the same name has other sequence numbers. */
  readonly created: string;
  readonly sequence: number;
}

/** Ends of streams, by name. */
type Ends = ReadonlyMap<string, StreamEnd>;

interface Round<Mark> {
  readonly mark: Mark;
  readonly ends: Ends;
}

/**
 * Keeps the position up to which streams are handled, until stopped. A round reads the present position, then the end of each stream. It is
 * over once the acknowledged floor of every source has passed that end; messages are acknowledged after they were handled, by whichever
 * process. A round begins again if a stream was replaced, or another process has kept the position meanwhile.
 */
export async function keepPosition<Mark>(options: PositionOptions<Mark>): Promise<void> {
  const { marks, readSources, log, stopped, intervalMs = INTERVAL_MS } = options;
  if (marks === undefined) return;
  let round: Round<Mark> | undefined;
  let passed: Ends = new Map();
  while (!stopped.aborted) {
    await wait(intervalMs, stopped);
    const session = stopped.aborted ? undefined : options.session();
    if (session === undefined) {
      round = undefined;
      continue;
    }
    try {
      const sources = await readSources(session);
      round ??= await beginRound(session.manager, marks, sources);
      const state = await judge(session.manager, round.ends, passed, sources);
      if (state === "over") {
        await marks.end(round.mark);
        passed = round.ends;
      }
      if (state !== "running") round = undefined;
    } catch (error) {
      log.debug({ err: error }, "reading the stream position failed; retrying");
    }
  }
}

async function beginRound<Mark>(
  manager: JetStreamManager,
  marks: PositionMarks<Mark>,
  sources: readonly Source[],
): Promise<Round<Mark>> {
  const mark = await marks.begin();
  const streams = [...new Set(sources.map(({ stream }) => stream))];
  return { mark, ends: new Map(await Promise.all(streams.map((stream) => readEnd(manager, stream)))) };
}

async function readEnd(manager: JetStreamManager, stream: string): Promise<readonly [string, StreamEnd]> {
  const { created, state } = await manager.streams.info(stream);
  return [stream, { created, sequence: state.last_seq }];
}

/**
 * @param passed ends that an earlier round has passed: the floors of a stream without new messages are not read again, which saves 16
 *   requests each time with 8 partitions
 * @returns `stale` if the round must begin again, because a stream is new or was replaced. */
async function judge(
  manager: JetStreamManager,
  ends: Ends,
  passed: Ends,
  sources: readonly Source[],
): Promise<"over" | "running" | "stale"> {
  const ofStream = Map.groupBy(sources, ({ stream }) => stream);
  if (ofStream.size !== ends.size) return "stale";
  for (const [stream, ofThis] of ofStream) {
    const end = ends.get(stream);
    const before = passed.get(stream);
    const isPassed = end !== undefined && before?.created === end.created && before.sequence >= end.sequence;
    const floor = isPassed ? end.sequence : await floorOf(manager, ofThis, end?.sequence ?? 0);
    // Read last: the floors above are of this stream or of an earlier one.
    const [, { created }] = await readEnd(manager, stream);
    if (end === undefined || created !== end.created) return "stale";
    if (floor < end.sequence) return "running";
  }
  return "over";
}
