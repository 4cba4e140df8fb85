/** Connect, gRPC and node leave these unbounded (4 GiB, 4 billion streams, for ever). */
export const LIMITS = {
  readMaxBytes: 1 << 20,
  maxConcurrentStreams: 1000,
  /** Also how long a call may take that brings no deadline. */
  maxTimeoutMs: 30_000,
  maxHeaderBytes: 16 << 10,
  /**
   * Smaller answers go out as they are. A page of 25 requests (17 KB) took the service a third of its CPU to compress, and
   * a wait for another thread, for what a network between services carries in no time.
   */
  compressMinBytes: 32 << 10,
};

/** After this, calls in flight are cut on stop. */
export const DRAIN_TIMEOUT_MS = 5_000;
