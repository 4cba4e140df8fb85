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
