import { picoToNanoCeil } from "./money.ts";

/**
 * Bounds of the facts of a request, which the gateway that records them and the log that stores them share: what one side writes, the other
 * accepts.
 */

/** Price of a token, or of a token of a part: 1 USD, in pico-USD. */
export const MAX_TOKEN_PRICE_PICO_USD = 10n ** 12n;
/** Price of a request in addition to its tokens: 1,000 USD, in pico-USD. */
export const MAX_REQUEST_PRICE_PICO_USD = 10n ** 15n;
/** Input tokens, and output tokens, of a request; a higher count is not accepted. */
export const MAX_REQUEST_TOKENS = 1_000_000_000;
/** Cost of a request with the most tokens at the highest prices, in nano-USD. */
export const MAX_REQUEST_COST_NANO_USD = picoToNanoCeil(
  2n * BigInt(MAX_REQUEST_TOKENS) * MAX_TOKEN_PRICE_PICO_USD + MAX_REQUEST_PRICE_PICO_USD,
);

/** Characters of a name, an endpoint, an error code or a rule; a longer one is truncated. */
export const MAX_NAME_CHARS = 256;
/** Characters of a service tier as an upstream names it. */
export const MAX_SERVICE_TIER_CHARS = 64;
/** Characters of the id that an upstream gave a request. */
export const MAX_UPSTREAM_ID_CHARS = 200;
/** Characters of an upstream's error text. */
export const MAX_UPSTREAM_ERROR_CHARS = 500;
/** Shadow denials of a request, as many as a principal has bindings; the rest is dropped. */
export const MAX_SHADOW_DENIALS = 100;
/** Guardrail decisions of a request; the rest is dropped. */
export const MAX_GUARDRAIL_DECISIONS = 50;
/** Attempts of a request to get an answer. */
export const MAX_ATTEMPTS = 10;

/** Text of safe characters only, as most ids are: this check takes 0.6 us (cold), the search for unprintable characters 2.6 us. */
const PLAIN = /^[\x21-\x7e]*$/;
// Blanks, controls, DEL, line and paragraph separators, marks and overrides that reorder text, and halves of characters.
const UNPRINTABLE = /[\s\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+/gu;

/**
 * Returns the text on one line, without characters that control a terminal, a log or a spreadsheet, in at most `maxChars` UTF-16 units.
 * Each run of such characters becomes one blank.
 */
export function printableText(text: string, maxChars: number): string {
  if (text.length <= maxChars && PLAIN.test(text)) return text;
  // Cut first, so that the work is bounded, and again, because the cut may leave half a character.
  const printable = text
    .slice(0, 2 * maxChars)
    .replace(UNPRINTABLE, " ")
    .trim();
  return printable.slice(0, maxChars).replace(/[\ud800-\udbff]$/, "");
}
