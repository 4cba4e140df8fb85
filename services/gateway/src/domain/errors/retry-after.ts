/** Longest wait of the OpenAI SDKs: they ignore a `Retry-After` above it and send the request again at once. */
const MAX_RETRY_AFTER_SECS = 60;

/**
 * Headers of a refusal that ends after a wait: `Retry-After` in whole seconds, rounded up, >= 1; and true if the SDKs may send the
 * request again by themselves, because they would wait that long.
 */
export function retryAfterWait(waitMs: number): { readonly retryAfter: string; readonly retryable: boolean } {
  const waitSecs = Math.max(1, Math.ceil(waitMs / 1_000));
  return { retryAfter: String(waitSecs), retryable: waitSecs < MAX_RETRY_AFTER_SECS };
}

const SECONDS = /^\d{1,9}(?:\.\d{1,9})?$/;
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** Wait in milliseconds of a `Retry-After` in seconds or as an HTTP date; undefined for anything else: no client could use it. */
export function readRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (SECONDS.test(header)) return Number(header) * 1_000;
  const date = HTTP_DATE.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
