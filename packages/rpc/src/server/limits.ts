/** Connect, gRPC and node leave these unbounded (4 GiB, 4 billion streams, for ever). */
export const LIMITS = {
  readMaxBytes: 1 << 20,
  maxConcurrentStreams: 1000,
  /** The longest deadline. */
  maxTimeoutMs: 30_000,
  /** A call in which neither side sends or takes anything for so long is ended: a body that stops, an answer that nobody reads. */
  idleTimeoutMs: 45_000,
  maxHeaderBytes: 16 << 10,
  /**
   * Smaller answers go out as they are. A page of 25 requests (17 KB) took the service a third of its CPU to compress, and
   * a wait for another thread, for what a network between services carries in no time.
   */
  compressMinBytes: 32 << 10,
};

/** After this, calls in flight are cut on stop. */
export const DRAIN_TIMEOUT_MS = 5_000;
