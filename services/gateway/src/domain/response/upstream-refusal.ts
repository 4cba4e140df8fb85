import { ERROR_TABLE, INVALID_REQUEST } from "../errors/error-table.ts";
import { Refusal, upstreamFailed } from "../errors/refusal.ts";
import { readRetryAfter, retryAfterWait } from "../errors/retry-after.ts";
import { isPassing, kindOfError, statusOfWords } from "./error-kinds.ts";
import { readErrorBody, type UpstreamWords } from "./upstream-words.ts";

/** Error of an upstream, as the client gets it, and in its own words. */
export interface UpstreamRefusal {
  readonly refusal: Refusal;
  readonly words: UpstreamWords;
}

/** Head of an answer, as far as a refusal is made of it. */
export interface RefusedHead {
  readonly status: number;
  readonly retryAfter: string | undefined;
}

/**
 * Refusal for an upstream's status other than 2xx. An error about credentials, payment or the upstream itself concerns the
 * operator, so its words are not passed on to the client.
 */
export function refusalOfUpstreamStatus({ status, retryAfter }: RefusedHead, body: Buffer): UpstreamRefusal {
  const words = readErrorBody(body);
  const kind = kindOfError(status, words);
  if (kind === "failure") {
    const message = `the upstream failed with HTTP status ${status}`;
    return { words, refusal: new Refusal("upstream_error", message, { retryable: isPassing(status) }) };
  }
  return { words, refusal: refusalOfKind(kind, { status, words, retryAfter }) };
}

/**
 * Refusal for an error that an upstream sends with a status of success, or in a stream: in its own words, with the status that
 * its code, status or type stands for, else 502. It is the answer to the request, so one of no known kind would come again.
 */
export function refusalOfUpstreamWords(words: UpstreamWords, retryAfter?: string): Refusal {
  const status = statusOfWords(words);
  const kind = kindOfError(status, words);
  if (kind === "quota" || kind === "credentials" || kind === "request" || kind === "rate") {
    return refusalOfKind(kind, { status: status ?? ERROR_TABLE.upstream_error.status, words, retryAfter });
  }
  const code =
    kind === "overloaded" ? "upstream_overloaded" : kind === "timeout" ? "upstream_timeout" : "upstream_error";
  const { status: ownStatus, type } = ERROR_TABLE[code];
  const retryable = status !== undefined && isPassing(status);
  const error = { status: ownStatus, type: words.type ?? type, code: words.code ?? code, retryable };
  const message = words.message ?? "the upstream answered with an error that it does not explain";
  const options = { param: words.param ?? null, ...waitOf(retryAfter, words, retryable), ...detailsOf(words) };
  return new Refusal(error, message, options);
}

type KindOfRefusal = Exclude<ReturnType<typeof kindOfError>, "failure">;

interface StatedError {
  readonly status: number;
  readonly words: UpstreamWords;
  readonly retryAfter: string | undefined;
}

function refusalOfKind(kind: KindOfRefusal, { status, words, retryAfter }: StatedError): Refusal {
  switch (kind) {
    case "request":
      return passedOn(status, words);
    case "rate":
      return tooManyRequests(words, retryAfter);
    case "quota": {
      const message =
        "the operator's account at the upstream is out of quota or credit; the operator of this node must act";
      return new Refusal("upstream_quota_exhausted", message);
    }
    case "credentials": {
      const message =
        "the upstream refuses the gateway's own credentials or account; the operator of this node must act";
      return new Refusal("upstream_error", message, { retryable: false });
    }
    case "overloaded": {
      const message = `the upstream is overloaded (HTTP status ${status}); try again later`;
      return new Refusal("upstream_overloaded", message, waitOf(retryAfter, words, true));
    }
    case "timeout":
      return upstreamFailed("upstream_timeout", "the upstream timed out");
  }
}

function passedOn(status: number, words: UpstreamWords): Refusal {
  const { message, type = INVALID_REQUEST, param = "", code = "" } = words;
  const text = message ?? `the upstream refused the request with HTTP status ${status}`;
  const options = { param: param || null, ...detailsOf(words) };
  return new Refusal({ status, type, code: code || null, retryable: false }, text, options);
}

function tooManyRequests(words: UpstreamWords, retryAfter: string | undefined): Refusal {
  const { status, type: defaultType } = ERROR_TABLE.rate_limit_exceeded;
  const { message, type = defaultType, code = "rate_limit_exceeded" } = words;
  const text = message ?? "the upstream receives more requests than it takes; try again later";
  const { retryable, ...wait } = waitOf(retryAfter, words, true);
  return new Refusal({ status, type, code, retryable }, text, { ...wait, ...detailsOf(words) });
}

/** Details of an error that is passed on, in the place where it has them. */
function detailsOf({ details }: UpstreamWords) {
  return details === undefined ? {} : { details: { details } };
}

/** Wait of an upstream's header, else the one in its words. From 60 s on no SDK waits, so none may try again by itself. */
function waitOf(retryAfter: string | undefined, { retryAfterSecs }: UpstreamWords, retryable: boolean) {
  const header = readRetryAfter(retryAfter, Date.now());
  if (header !== undefined) return { retryAfter, retryable: retryable && retryAfterWait(header).retryable };
  if (retryAfterSecs === undefined) return { retryAfter: undefined, retryable };
  const wait = retryAfterWait(retryAfterSecs * 1_000);
  return { ...wait, retryable: retryable && wait.retryable };
}
