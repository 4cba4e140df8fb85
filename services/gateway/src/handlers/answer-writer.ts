import type { ServerResponse } from "node:http";
import type { CancelSignal } from "../domain/ports/cancel-signal.ts";

/** Answer to one request while it is sent to the client. */
export interface Sending {
  readonly response: ServerResponse;
  /** Aborted when the request is cancelled; undefined to send the bytes even then. */
  readonly signal: CancelSignal | undefined;
  /** Time after which a client that takes no piece of its answer is disconnected. A slow one that takes pieces is not. */
  readonly stallTimeoutMs: number;
}

const PIECE_BYTES = 64 << 10;

/**
 * Writes bytes at the pace of the connection.
 *
 * @returns undefined if they were taken at once, as almost all are
 * @throws Error if the request is cancelled or its client stalls before the end
 */
export function writeBytes(sending: Sending, bytes: Uint8Array): Promise<void> | undefined {
  const { response } = sending;
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
    const piece = bytes.length <= PIECE_BYTES ? bytes : bytes.subarray(from, from + PIECE_BYTES);
    if (!response.write(piece)) return writeRest(sending, bytes.subarray(from + PIECE_BYTES));
  }
  return undefined;
}

/** Waits until the connection takes more, and writes the rest. */
async function writeRest(sending: Sending, rest: Uint8Array): Promise<void> {
  await waitFor(sending, "drain");
  await writeBytes(sending, rest);
}

/** Sends the rest of an answer. @returns true if the connection has taken all of it; without a promise if it does so at once */
export function endAnswer(sending: Sending, bytes: Uint8Array = NOTHING): boolean | Promise<boolean> {
  const { response } = sending;
  const { socket } = response;
  if (bytes.length > PIECE_BYTES || socket?.writable !== true) return endInPieces(sending, bytes);
  response.end(bytes);
  // The kernel has all of it: nothing is left to wait for, and no timer and no listener is needed.
  const isTaken = socket.writableLength === 0 && socket.errored === null && !socket.destroyed;
  return isTaken ? true : endInPieces(sending, NOTHING);
}

/** Ends an answer piece by piece. A cancellation breaks it off before its last piece, unless it came before the answer, e.g. an error. */
async function endInPieces({ response, signal, stallTimeoutMs }: Sending, bytes: Uint8Array): Promise<boolean> {
  const last = Math.max(0, bytes.length - PIECE_BYTES);
  try {
    const cancel = signal?.aborted === true ? undefined : signal;
    await writeBytes({ response, stallTimeoutMs, signal: cancel }, bytes.subarray(0, last));
    // The end has begun: a cancellation comes too late now.
    const taken = waitFor({ response, stallTimeoutMs, signal: undefined }, "finish");
    if (!response.writableEnded) response.end(bytes.subarray(last));
    await taken;
    return true;
  } catch {
    response.destroy();
    return false;
  }
}

const NOTHING = new Uint8Array();

/** Waits for the event. @throws Error if the request is cancelled, its client leaves, or no piece is taken in time */
function waitFor({ response, signal, stallTimeoutMs }: Sending, event: "drain" | "finish"): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed || signal?.aborted === true) throw new Error("the request was cancelled");
    const stop = (): void => {
      clearInterval(timer);
      response.off(event, onEvent).off("close", onCancel);
      signal?.removeEventListener("abort", onCancel);
    };
    const onEvent = (): void => {
      stop();
      resolve();
    };
    const onCancel = (): void => {
      stop();
      reject(new Error("the request was cancelled"));
    };
    // An answer that waits behind others has no socket yet: they share the connection.
    const timer = setInterval(() => response.socket !== null && response.destroy(), stallTimeoutMs);
    response.once(event, onEvent).once("close", onCancel);
    signal?.addEventListener("abort", onCancel);
  });
}
