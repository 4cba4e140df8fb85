/**
 * Times that bound how stale a verification result can be when the change feed is lost: 5 s, as promised (STALENESS_BOUND_MS).
 *
 * Let t = 0 be the last moment at which every change was known. A credential that is revoked right after it is refused
 *
 * - to a new request: the cache answers until the feed times out, and then every token is verified by call, which is answered or
 *   fails by its deadline:
 *
 *       FEED_TIMEOUT_MS 2,500 + CALL_TIMEOUT_MS 2,000 = 4,500
 *
 * - to a running request: its subscription is cancelled once its result has been stale for MAX_STALE_MS, which is noticed at the
 *   next check; until then it is verified by call every RECHECK_INTERVAL_MS, and a refusal cancels it at once:
 *
 *       MAX_STALE_MS 4,000 + STALE_CHECK_INTERVAL_MS 250 = 4,250
 *
 * The rest up to 5,000 is for timers that fire late on a busy machine and for the cancellation to reach the client.
 * `staleness.test.ts` fails if one of the four grows. All are milliseconds of the monotonic clock.
 */
export const STALENESS_BOUND_MS = 5_000;

/** Time without a message after which a change feed counts as lost: a service with a feed sends its last sequence number every second. */
export const FEED_TIMEOUT_MS = 2_500;

/** Default deadline of a call to another service (`serviceTransport`), connecting included. */
export const CALL_TIMEOUT_MS = 2_000;

/** A subscription whose verification result has been stale for this long ends. */
export const MAX_STALE_MS = 4_000;

/** Interval at which subscriptions are checked for expiry and staleness. */
export const STALE_CHECK_INTERVAL_MS = 250;

/** A stale token is verified by call at most this often. */
export const RECHECK_INTERVAL_MS = 1_000;
