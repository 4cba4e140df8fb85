import type { IncomingMessage, ServerResponse } from "node:http";
import { BUDGET_REMAINING_HEADER } from "../domain/response/limit-headers.ts";

/** Cross-origin rules: which pages of other origins may call the gateway from a browser (Fetch standard, 3.3). */
export interface Cors {
  /**
   * Adds the headers that let a page read the answer, if its origin is allowed; errors and streams have them too.
   *
   * @returns true if the request is a preflight of an allowed origin, which is then to be answered without a key
   */
  apply(request: IncomingMessage, response: ServerResponse): boolean;
}

/** Time, in seconds, for which a browser keeps the answer to a preflight. */
const MAX_AGE_SECONDS = 600;

/** Headers of answers that a page may read, in addition to those that it may always read. */
const EXPOSED_HEADERS = [
  "x-request-id",
  // Anthropic's clients read the id of a request there.
  "request-id",
  "x-routeplane-dropped",
  "x-should-retry",
  "retry-after",
  BUDGET_REMAINING_HEADER,
  ...["limit", "remaining", "reset"].flatMap((part) => [`x-ratelimit-${part}-requests`, `x-ratelimit-${part}-tokens`]),
].join(", ");

/** Matches a list of header names. */
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~, \t-]{1,4096}$/;

/** @param origins origins as browsers write them; none switches cross-origin calls off */
export function createCors(origins: readonly string[]): Cors {
  if (origins.length === 0) return { apply: () => false };
  const allowed = new Set(origins);
  return {
    apply({ method, headers }, response) {
      // Caches must not give one origin the answer to another.
      response.setHeader("vary", "Origin");
      const { origin } = headers;
      if (origin === undefined || !allowed.has(origin)) return false;
      response.setHeader("access-control-allow-origin", origin);
      response.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
      if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) return false;
      response.setHeader("access-control-allow-methods", "GET, HEAD, POST");
      response.setHeader("access-control-max-age", String(MAX_AGE_SECONDS));
      // SDKs send headers of their own, e.g. `x-stainless-*`. None is read but those of the API, so all are allowed.
      const requested = headers["access-control-request-headers"];
      if (requested !== undefined && HEADER_NAMES.test(requested)) {
        response.setHeader("access-control-allow-headers", requested);
      }
      return true;
    },
  };
}

/** Parses origins, separated by commas; undefined if one is not written as browsers write it, e.g. `https://app.example.com`. */
export function parseOrigins(text: string): readonly string[] | undefined {
  if (text === "") return [];
  const origins = text.split(",").map((origin) => origin.trim());
  const isOrigin = (origin: string): boolean => /^https?:[^*]*$/.test(origin) && URL.parse(origin)?.origin === origin;
  return origins.every(isOrigin) ? origins : undefined;
}
