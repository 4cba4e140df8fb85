import type { ServerResponse } from "node:http";

/** The answer to one request, on its way to the client. */
export interface Sending {
  readonly response: ServerResponse;
  /** Aborted when the request is cut; undefined if it is sent all the same. */
  readonly signal: AbortSignal | undefined;
  /** A client that takes no piece of its answer for so long is cut off; one that is slow is not. */
  readonly stallTimeoutMs: number;
}

const PIECE_BYTES = 64 << 10;

/** @throws Error if the request is cut, or its client stalls, before the connection has taken it */
export async function writeBytes(sending: Sending, bytes: Uint8Array): Promise<void> {
  const { response } = sending;
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
    if (!response.write(bytes.subarray(from, from + PIECE_BYTES))) await untilTaken(sending, "drain");
  }
}

/** Sends the rest. @returns whether the connection has taken all of it */
export async function endAnswer(
  { response, stallTimeoutMs }: Sending,
  bytes: Uint8Array = new Uint8Array(),
): Promise<boolean> {
  // It has begun, so whatever cuts the request now comes too late.
  const sending = { response, stallTimeoutMs, signal: undefined };
  const last = Math.max(0, bytes.length - PIECE_BYTES);
  try {
    await writeBytes(sending, bytes.subarray(0, last));
    const taken = untilTaken(sending, "finish");
    response.end(bytes.subarray(last));
    await taken;
    return true;
  } catch {
    return false;
  }
}

/** @throws Error if that does not happen before the request is cut, its client leaves, or no piece is taken in time */
function untilTaken({ response, signal, stallTimeoutMs }: Sending, event: "drain" | "finish"): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed || signal?.aborted === true) throw new Error("the request was cut");
    const stop = (): void => {
      clearInterval(timer);
      response.off(event, onTaken).off("close", onCut);
      signal?.removeEventListener("abort", onCut);
    };
    const onTaken = (): void => {
      stop();
      resolve();
    };
    const onCut = (): void => {
      stop();
      reject(new Error("the request was cut"));
    };
    // The connection of one that waits for the answers before it is not its own yet.
    const timer = setInterval(() => response.socket !== null && response.destroy(), stallTimeoutMs);
    response.once(event, onTaken).once("close", onCut);
    signal?.addEventListener("abort", onCut, { once: true });
  });
}
