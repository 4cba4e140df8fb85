/** Connect, gRPC and node leave these unbounded (4 GiB, 4 billion streams, for ever). */
export const LIMITS = {
  readMaxBytes: 1 << 20,
  maxConcurrentStreams: 1000,
  /** Also how long a call may take that brings no deadline. */
  maxTimeoutMs: 30_000,
  maxHeaderBytes: 16 << 10,
};

/** After this, calls in flight are cut on stop. */
export const DRAIN_TIMEOUT_MS = 5_000;
