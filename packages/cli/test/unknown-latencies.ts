/** Latency fields of usage whose latencies are not known. */
export const UNKNOWN_LATENCIES = {
  total_p50_ms: null,
  total_p95_ms: null,
  total_p99_ms: null,
  first_token_p50_ms: null,
  first_token_p95_ms: null,
  first_token_p99_ms: null,
} as const;
