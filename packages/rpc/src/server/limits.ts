/** Limits of both servers. Connect, gRPC and Node leave these practically unbounded (4 GiB, 4 billion streams, no time-outs). */
export const LIMITS = {
  readMaxBytes: 1 << 20,
  maxConcurrentStreams: 1000,
  /** Maximum deadline of a call. */
  maxTimeoutMs: 30_000,
  /** Time without traffic after which a call is ended: a body that stops arriving, a response that is not read. */
  idleTimeoutMs: 45_000,
  maxHeaderBytes: 16 << 10,
  /**
   * Age from which a session takes no new calls, so that clients that balance by connection reach new processes too. Both servers
   * add or subtract a random part, so that not all clients come back at the same moment.
   */
  maxSessionAgeMs: 5 * 60_000,
  /**
   * Minimum size of a response that is compressed. Compressing pages of 25 requests (17 KB) took a third of the service's CPU
   * and delayed each by a change of thread, more than sending them uncompressed costs.
   */
  compressMinBytes: 32 << 10,
};

/** Time after which calls that still run are ended when a server stops. */
export const DRAIN_TIMEOUT_MS = 5_000;

export interface DrainOptions {
  /** Time after which calls that still run are ended. */
  readonly timeoutMs: number;
  /** Ends them at once when it is aborted. */
  readonly signal?: AbortSignal;
}
