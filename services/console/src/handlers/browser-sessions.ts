import { parseToken } from "@routeplane/credentials";
import type { Clock } from "@routeplane/domain";
import type { ReplacedSessions } from "../domain/replaced-sessions.ts";
import type { Session } from "../domain/session.ts";
import type { SessionSeal } from "../domain/session-seal.ts";
import type { Exchange } from "./exchange.ts";
import { notSignedIn } from "./refusal.ts";
import { readSessionCookie, toRemovedCookie, toSessionCookie } from "./session-cookie.ts";

/** Session of the browser that made a request. */
export interface BrowserSession extends Session {
  /** Id of the session that is not secret. */
  readonly lookupId: string;
}

export interface BrowserSessionsOptions {
  readonly seal: SessionSeal;
  readonly replaced: ReplacedSessions;
  readonly clock: Clock;
}

/** Sessions in the cookies of browsers. The process stores none. */
export class BrowserSessions {
  readonly #seal: SessionSeal;
  readonly #replaced: ReplacedSessions;
  readonly #clock: Clock;

  constructor({ seal, replaced, clock }: BrowserSessionsOptions) {
    this.#seal = seal;
    this.#replaced = replaced;
    this.#clock = clock;
  }

  /** Reads the session of a request; undefined if it has no cookie that can be opened. */
  read({ request, page }: Exchange): BrowserSession | undefined {
    const cookie = readSessionCookie(request.headers, page);
    const session = cookie === undefined ? undefined : this.#seal.open(cookie);
    const lookupId = session && parseToken(session.token)?.lookupId;
    return session && lookupId !== undefined ? { ...session, lookupId } : undefined;
  }

  /** Reads the session of a request, and removes a cookie without a valid session. @throws Refusal 401 */
  require(exchange: Exchange): BrowserSession {
    const session = this.read(exchange);
    if (session !== undefined) return session;
    if (readSessionCookie(exchange.request.headers, exchange.page) !== undefined) this.remove(exchange);
    throw notSignedIn();
  }

  /** Gives the browser a session with the answer. */
  set({ response, page }: Exchange, session: Session): void {
    const maxAgeSecs = Math.max(1, Math.floor((session.expiresAt.getTime() - this.#clock()) / 1_000));
    response.setHeader("set-cookie", toSessionCookie(page, this.#seal.seal(session), maxAgeSecs));
  }

  /** Removes the session from the browser with the answer. */
  remove({ response, page }: Exchange): void {
    response.setHeader("set-cookie", toRemovedCookie(page));
  }

  /** Records that a session is about to be replaced or ended. */
  markReplaced({ lookupId }: BrowserSession): void {
    this.#replaced.add(lookupId);
  }

  /** Removes a session that a service has refused, unless the browser already has another one. */
  removeRefused(exchange: Exchange, { lookupId }: BrowserSession): void {
    if (!this.#replaced.has(lookupId)) this.remove(exchange);
  }
}
