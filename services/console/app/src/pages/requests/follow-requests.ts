import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type {
  LoggedRequest,
  RequestFilterSchema,
  WatchRequestsRequestSchema,
  WatchRequestsResponse,
} from "@routeplane/contracts/usage";

/** State of a live tail. */
export type TailState =
  | { readonly at: "connecting" | "live" }
  /** `reconnecting`: the stream broke, and is reopened after a pause. `failed`: the tail has stopped. */
  | { readonly at: "reconnecting" | "failed"; readonly error: ConnectError };

export interface TailOptions {
  readonly filter: MessageInitShape<typeof RequestFilterSchema>;
  /** Opens a stream of the service. */
  readonly watch: (
    request: MessageInitShape<typeof WatchRequestsRequestSchema>,
    signal: AbortSignal,
  ) => AsyncIterable<WatchRequestsResponse>;
  /** Ends the tail: no callback is called after it aborts. */
  readonly signal: AbortSignal;
  /** Called when the tail starts, also when it starts again: requests that ended before are not reported, and are to be listed now. */
  readonly onStart: () => void;
  /** Called with requests in the order in which they ended. */
  readonly onEnded: (requests: readonly LoggedRequest[]) => void;
  readonly onState: (state: TailState) => void;
  /** Waits; returns early when the signal aborts. */
  readonly pause: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** Pause between two streams: the service ends each stream after some seconds. Milliseconds. */
const NEXT_STREAM_MS = 50;
/** Bounds of the pause after a failure; it doubles. Milliseconds. */
const RETRY_MS = { first: 1_000, most: 15_000 };
/** Codes after which the stream is reopened. Any other error would occur again. */
const RETRIED: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.Unknown,
  Code.Internal,
  Code.ResourceExhausted,
]);

/**
 * Follows the request log until it is stopped, or fails with a permanent error. A stream that ended or broke is resumed after its last
 * message.
 */
export async function followRequests(options: TailOptions): Promise<void> {
  const { filter, watch, signal, onStart, onEnded, onState, pause } = options;
  let resumeToken = "";
  let failures = 0;
  onState({ at: "connecting" });
  while (!signal.aborted) {
    try {
      for await (const message of watch({ filter, resumeToken }, signal)) {
        if (signal.aborted) return;
        if (resumeToken === "") onStart();
        if (message.requests.length > 0) onEnded(message.requests);
        resumeToken = message.resumeToken;
        failures = 0;
        onState({ at: "live" });
      }
      await pause(NEXT_STREAM_MS, signal);
    } catch (cause) {
      if (signal.aborted) return;
      const error = ConnectError.from(cause);
      // The node no longer accepts the token, e.g. after its database was restored: the tail starts again.
      const isForgotten = error.code === Code.InvalidArgument && resumeToken !== "";
      if (!isForgotten && !RETRIED.has(error.code)) return onState({ at: "failed", error });
      if (isForgotten) resumeToken = "";
      onState({ at: "reconnecting", error });
      await pause(Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** failures), signal);
      failures += 1;
    }
  }
}
