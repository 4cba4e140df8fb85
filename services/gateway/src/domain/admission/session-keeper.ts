/**
 * Keeper of this process's gateway session: opens it, renews it in time, replaces it by a new one every hour or once it has too many limit
 * sets, and closes those that it has left.
 *
 * Steps. The id of a session is in the spool before it is used, so that the next process there can settle what this one leaves. The session
 * is valid for its length from before a renewal was sent, less a margin; renewals are sent every 10 s. A session that is left admits
 * nothing more and is closed once all its requests are reported.
 * Failures: while the policy service does not answer, the session expires, and each request asks the policy service. A policy service of a
 * release without sessions is asked again after a minute. If this process has lost the lock of the folder, no session is used.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Id, newId } from "@routeplane/domain";
import type { Component, Logger } from "@routeplane/runtime";
import { type GatewaySessions, NoGatewaySessions } from "../ports/gateway-sessions.ts";
import type { SessionRecords } from "../ports/usage-log.ts";
import { GatewaySession } from "./gateway-session.ts";
import { type HeldSession, SliceCalls } from "./slice-calls.ts";
import { returnIdleSlices } from "./slice-returns.ts";

export interface SessionKeeperOptions {
  readonly sessions: GatewaySessions;
  readonly records: SessionRecords;
  /** Clock of elapsed time; see `createElapsedClock`. */
  readonly elapsed: () => number;
  readonly log: Logger;
}

const TICK_MS = 1_000;
const RENEW_MS = 10_000;
const ROTATE_MS = 3_600_000;
/** Part of a session's length that is not used: it covers differences between the two clocks and delays of the network. */
const MARGIN_MS = 1_000;
/** Time after which a policy service without sessions is asked again. */
const UNSUPPORTED_MS = 60_000;
const CLOSE_TIMEOUT_MS = 2_000;
const CLOSE_STEP_MS = 100;
/** Time for which a recall holds: the policy service does not repeat it sooner. */
const RECALL_MS = 500;
const RECALL_STEP_MS = 25;

export class SessionKeeper implements Component {
  readonly name = "gateway session";
  readonly #options: SessionKeeperOptions;
  readonly #left = new Set<HeldSession>();
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #current: HeldSession | undefined;
  /** Renewal of the current session that is under way, or failed and will be repeated. */
  #renewal: { readonly number: number; readonly nonce: bigint; readonly sentAtMs: number } | undefined;
  #lastRenewal = 0;
  #renewAtMs = 0;
  #askAtMs = 0;

  /** Starts to keep a session, once it is known whose the spool was before. */
  constructor(options: SessionKeeperOptions) {
    this.#options = options;
    this.#running = options.records.sessionsFromPreviousRun.then(() => this.#run());
  }

  /** The session on which requests are admitted, as long as it is usable. */
  get current(): HeldSession | undefined {
    return this.#current;
  }

  /** Gives back the free part of the counters of these bindings, and what becomes free within half a second: others need it. */
  recall(bindingIds: readonly string[]): void {
    const held = this.#current;
    if (held === undefined) return;
    const counters = bindingIds.flatMap((bindingId) => held.session.counterOf(bindingId));
    const untilMs = this.#options.elapsed() + RECALL_MS;
    for (const counter of counters) counter.recalledUntilMs = untilMs;
    const giveBack = (): void => {
      for (const counter of counters) held.calls.giveBack(counter);
      if (this.#options.elapsed() < untilMs && this.#current === held) setTimeout(giveBack, RECALL_STEP_MS).unref();
    };
    giveBack();
  }

  /** Leaves the session and closes it, if all its requests are reported by then; else the next process does. */
  async stop(): Promise<void> {
    this.#leave();
    this.#stopping.abort();
    await this.#running;
    const until = performance.now() + CLOSE_TIMEOUT_MS;
    while (this.#left.size > 0 && performance.now() < until) {
      await this.#closeLeft().catch((error: unknown) => {
        this.#options.log.warn({ err: error }, "closing the gateway session failed: the next process closes it");
      });
      if (this.#left.size > 0) await delay(CLOSE_STEP_MS);
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#tick();
      await delay(TICK_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #tick(): Promise<void> {
    const { elapsed, log, records } = this.#options;
    try {
      if (this.#current !== undefined && !records.isOwner()) {
        log.error("spool taken over by another process: admission on slices stopped");
        this.#leave();
      }
      const nowMs = elapsed();
      if (this.#current !== undefined) returnIdleSlices(this.#current, nowMs);
      if (this.#current !== undefined && isDone(this.#current.session, nowMs)) this.#leave();
      if (this.#current === undefined && nowMs >= this.#askAtMs && records.isOwner()) await this.#open();
      else if (this.#current !== undefined && nowMs >= this.#renewAtMs) await this.#renew(this.#current);
      await this.#closeLeft();
    } catch (error) {
      if (!(error instanceof NoGatewaySessions))
        return log.warn({ err: error }, "gateway session not renewed; retrying");
      this.#leave();
      this.#askAtMs = elapsed() + UNSUPPORTED_MS;
    }
  }

  async #open(): Promise<void> {
    const { sessions, records, elapsed, log } = this.#options;
    const id: Id<"gws"> = newId("gws");
    const recordOffset = records.recordSession(id);
    const sentAtMs = elapsed();
    const session = new GatewaySession(id, sentAtMs);
    const onState = (state: string): void => {
      if (state !== "open" && this.#current?.session === session) this.#leave();
    };
    const calls = new SliceCalls({ session, sessions, clock: elapsed, log, onState });
    const held = { session, calls, recordOffset };
    try {
      const { state, lengthMs } = await sessions.renew(id, 1, nonce());
      if (state !== "open") throw new Error(`a new gateway session is ${state}`);
      session.expiresAtMs = sentAtMs + lengthMs - MARGIN_MS;
      this.#lastRenewal = 1;
      this.#renewal = undefined;
      this.#renewAtMs = sentAtMs + RENEW_MS;
      this.#current = held;
      if (this.#stopping.signal.aborted) this.#leave();
      log.info({ sessionId: id }, "gateway session opened");
    } catch (error) {
      if (error instanceof NoGatewaySessions) records.complete(recordOffset);
      else this.#left.add(held);
      throw error;
    }
  }

  /** Renews a session; after a failure the same renewal is repeated. */
  async #renew({ session }: HeldSession): Promise<void> {
    const { sessions, elapsed, log } = this.#options;
    // The service may have received the first attempt, so the session is valid from before that one.
    this.#renewal ??= { number: this.#lastRenewal + 1, nonce: nonce(), sentAtMs: elapsed() };
    const { number, nonce: word, sentAtMs } = this.#renewal;
    const { state, lengthMs } = await sessions.renew(session.id, number, word);
    if (this.#current?.session !== session) return;
    if (state !== "open") {
      log.warn({ sessionId: session.id, state }, "gateway session ended");
      return this.#leave();
    }
    this.#lastRenewal = number;
    this.#renewal = undefined;
    this.#renewAtMs = sentAtMs + RENEW_MS;
    session.expiresAtMs = Math.max(session.expiresAtMs, sentAtMs + lengthMs - MARGIN_MS);
  }

  #leave(): void {
    const held = this.#current;
    if (held === undefined) return;
    held.session.isLeft = true;
    held.calls.stop();
    this.#left.add(held);
    this.#current = undefined;
    this.#askAtMs = 0;
  }

  async #closeLeft(): Promise<void> {
    const { sessions, records } = this.#options;
    for (const held of this.#left) {
      const { session, recordOffset } = held;
      if (session.openRequests > 0) continue;
      await sessions.close(session.id, true);
      this.#left.delete(held);
      records.complete(recordOffset);
    }
  }
}

/** True if a session is to be followed by another one. */
function isDone({ openedAtMs, isFull }: GatewaySession, nowMs: number): boolean {
  return isFull || nowMs - openedAtMs > ROTATE_MS;
}

/** Random number of 63 bits, which the service stores as a signed one. */
function nonce(): bigint {
  return randomBytes(8).readBigUInt64BE() >> 1n;
}
