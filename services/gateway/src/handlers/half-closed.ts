import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Interval of the checks for an error that the network has already reported. */
const POLL_MS = 250;
/** Wait before the first probe; each later wait is twice as long, up to the longest. */
const FIRST_PROBE_MS = 1_000;
const LONGEST_PROBE_MS = 30_000;
/** Idle time after which the kernel probes a peer to which nothing may be written. */
const KEEP_ALIVE_MS = 10_000;

const NOTHING = Buffer.alloc(0);
/** Answers that are streams of events. */
const eventStreams = new WeakSet<ServerResponse>();

/** Records that an answer is a stream of events, into which a probe may write. */
export function markEventStream(answer: ServerResponse): void {
  eventStreams.add(answer);
}

/** Server-sent event without data, which every client ignores. */
const COMMENT = ":\n\n";

/**
 * Watches a connection whose client has ended its side (FIN) until its answers are sent. The client may wait for them (`nc -N`), or have
 * closed the connection. TCP shows which only when bytes are sent: a closed connection answers with a reset. So a client that waits is sent
 * something that it ignores: an interim response before the answer, a comment within a stream of events. HTTP/1.0 has neither; there the
 * keep-alive of TCP detects a closed connection after about a minute.
 *
 * @param answers answers that have not ended, in their order; read at each probe
 */
export function watchHalfClosed(socket: Socket, answers: ReadonlySet<ServerResponse>): void {
  const last = [...answers].at(-1);
  if (last === undefined || socket.destroyed) return;
  if (!last.headersSent) last.shouldKeepAlive = false;
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  let waitedMs = 0;
  let waitMs = FIRST_PROBE_MS;
  const timer = setInterval(() => {
    // Bytes that wait to be sent will show it.
    if (socket.writableLength > 0) return;
    waitedMs += POLL_MS;
    const [current] = answers;
    if (waitedMs < waitMs || current === undefined) {
      // Reading has ended, so that a reset is reported to the next write only, even to an empty one.
      socket.write(NOTHING);
      return;
    }
    probe(current);
    waitedMs = 0;
    waitMs = Math.min(2 * waitMs, LONGEST_PROBE_MS);
  }, POLL_MS);
  socket.once("close", () => clearInterval(timer));
}

function probe(answer: ServerResponse): void {
  if (answer.socket === null || answer.writableEnded) return;
  if (!answer.headersSent) {
    if (answer.req.httpVersion === "1.1") answer.writeContinue();
    return;
  }
  if (eventStreams.has(answer) && !answer.writableNeedDrain) answer.write(COMMENT);
}
