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

/** Longest wait that is passed on, 31 years. A longer one becomes this: without a wait, clients would try again at once. */
const MAX_SECS = 999_999_999;
const AMOUNT = /^\d{1,40}(?:\.\d{1,9})?$/;
const SECONDS = /^\d{1,9}(?:\.\d{1,9})?$/;
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** Wait in milliseconds of a `Retry-After` in seconds or as an HTTP date; undefined for anything else: no client could use it. */
export function readRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (SECONDS.test(header)) return Number(header) * 1_000;
  const date = HTTP_DATE.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

const DURATION = /^(?:(\d{1,4})h)?(?:(\d{1,5})m(?!s))?(?:(\d{1,8}(?:\.\d{1,9})?)(ms|s))?$/;

/** Reads a duration as APIs write it: `34s`, `1m2.5s`, `250ms`. @returns seconds; undefined if it is none */
export function readDuration(text: string): number | undefined {
  const parts = text === "" ? null : DURATION.exec(text);
  if (parts === null) return undefined;
  const [, hours = 0, minutes = 0, amount = 0, unit] = parts;
  return Number(hours) * 3_600 + Number(minutes) * 60 + Number(amount) / (unit === "ms" ? 1_000 : 1);
}

/**
 * Wait that the headers of an upstream ask for, as a `Retry-After`: that header; the same in milliseconds; or the time at which a
 * limit of which nothing remains is reset.
 */
export function upstreamRetryAfter(header: (name: string) => string | undefined): string | undefined {
  const named = header("retry-after");
  if (named !== undefined && (SECONDS.test(named) || HTTP_DATE.test(named))) return named;
  if (named !== undefined && AMOUNT.test(named)) return boundedSecs(Number(named));
  const waitMs = header("retry-after-ms");
  if (waitMs !== undefined && AMOUNT.test(waitMs)) return boundedSecs(Number(waitMs) / 1_000);
  const resets = [resetSecs(header, "requests"), resetSecs(header, "tokens")].filter((secs) => secs !== undefined);
  return resets.length === 0 ? undefined : String(Math.ceil(Math.max(...resets)));
}

function boundedSecs(secs: number): string {
  return String(Math.min(MAX_SECS, Math.ceil(secs)));
}

/** Seconds until a limit of which nothing remains is reset; undefined if some remains. */
function resetSecs(header: (name: string) => string | undefined, unit: "requests" | "tokens"): number | undefined {
  if (header(`x-ratelimit-remaining-${unit}`) !== "0") return undefined;
  return readDuration(header(`x-ratelimit-reset-${unit}`) ?? "");
}
