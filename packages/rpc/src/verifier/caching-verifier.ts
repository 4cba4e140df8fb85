import { hash } from "node:crypto";
import { parseToken } from "@routeplane/credentials";
import { type Clock, DomainError } from "@routeplane/domain";
import type { Principal, VerifyToken } from "../principal.ts";
import { ChangeRecord } from "./subjects.ts";
import { type VerificationResult, VerificationCache } from "./verification-cache.ts";

export interface CachingVerifierOptions {
  /** Finds it out, every time. */
  readonly verifyUncached: VerifyToken;
  /** Whether every change is known, but for those of the last moment. */
  readonly isLive: () => boolean;
  /** Tokens whose answers are kept, good and bad ones counted apart. 20,000 by default. */
  readonly capacity?: number;
  /** `Date.now` by default. */
  readonly clock?: Clock;
  /** `performance.now` by default. */
  readonly monotonic?: () => number;
}

/** An answer that is overtaken by changes is asked for again, and hardly ever twice. */
const MAX_ATTEMPTS = 5;

const MALFORMED: VerificationResult = {
  refusal: new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key"),
};

/**
 * Answers about tokens that are asked for once and kept while every change is known. Whoever hears of the changes tells
 * `changed` and `missedChanges`; what they say counts for the answers that are on their way, too.
 */
export class CachingVerifier {
  readonly #ask: VerifyToken;
  readonly #isLive: () => boolean;
  readonly #monotonic: () => number;
  readonly #cache: VerificationCache;
  readonly #records = new Set<ChangeRecord>();
  readonly #underWay = new Map<string, Promise<VerificationResult>>();

  constructor(options: CachingVerifierOptions) {
    const {
      verifyUncached: ask,
      isLive,
      capacity = 20_000,
      clock = Date.now,
      monotonic = () => performance.now(),
    } = options;
    this.#ask = ask;
    this.#isLive = isLive;
    this.#monotonic = monotonic;
    this.#cache = new VerificationCache({ capacity, clock, monotonic });
  }

  /** Rejects with a DomainError UNAVAILABLE if it cannot be known. */
  verify(token: string): VerificationResult | Promise<VerificationResult> {
    return this.#find(digestOf(token), token);
  }

  /**
   * Hands on whom a token belongs to, in the very step in which that is known: no change slips in between.
   *
   * @throws as a `KeyVerifier`
   */
  async verifyAndSubscribe<T>(token: string, take: (digest: string, principal: Principal) => T): Promise<T> {
    const digest = digestOf(token);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      // A change may come between the answer and its reader.
      const record = this.#record();
      try {
        const principal = requirePrincipal(await this.#find(digest, token));
        if (!record.touches(principal)) return take(digest, principal);
      } finally {
        this.#records.delete(record);
      }
    }
    throw overtaken();
  }

  invalidate(subject: string): void {
    this.#cache.invalidate(subject);
    for (const record of this.#records) record.note(subject);
  }

  invalidateAll(): void {
    this.#cache.clear();
    for (const record of this.#records) record.noteGap();
  }

  #find(digest: string, token: string): VerificationResult | Promise<VerificationResult> {
    const known = this.#isLive() ? this.#cache.find(digest) : undefined;
    if (known !== undefined) return known;
    const underWay = this.#underWay.get(digest);
    if (underWay !== undefined) return underWay;
    if (parseToken(token) === undefined) return MALFORMED;
    const answer = this.#currentAnswer(digest, token).finally(() => this.#underWay.delete(digest));
    this.#underWay.set(digest, answer);
    return answer;
  }

  async #currentAnswer(digest: string, token: string): Promise<VerificationResult> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const askedAt = this.#monotonic();
      const live = this.#isLive();
      const record = this.#record();
      try {
        const answer = await verificationResultOf(this.#ask, token);
        const current = "refusal" in answer ? record.isEmpty : !record.touches(answer.principal);
        if (!current && "principal" in answer) continue;
        if (current && live && this.#isLive()) this.#cache.keep(digest, answer, askedAt);
        return answer;
      } finally {
        this.#records.delete(record);
      }
    }
    throw overtaken();
  }

  #record(): ChangeRecord {
    const record = new ChangeRecord();
    this.#records.add(record);
    return record;
  }
}

/** What `ask` says, a refusal too. Rejects if it cannot be known. */
export async function verificationResultOf(ask: VerifyToken, token: string): Promise<VerificationResult> {
  try {
    return { principal: await ask(token) };
  } catch (error) {
    if (error instanceof DomainError && error.code === "unauthenticated") return { refusal: error };
    throw error;
  }
}

/** @throws DomainError UNAUTHENTICATED for a refusal */
export function requirePrincipal(answer: VerificationResult): Principal {
  if ("refusal" in answer) throw answer.refusal;
  return answer.principal;
}

function digestOf(token: string): string {
  return hash("sha256", token, "base64");
}

function overtaken(): DomainError {
  const message = "this API key changes faster than it can be verified; try again";
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata: { dependency: "auth" } });
}
