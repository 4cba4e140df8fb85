import type { Clock, DomainError } from "@routeplane/domain";
import { CACHE_SLOT_BYTES, type CacheEntry, MemoryBoundedCache } from "../cache/memory-bounded-cache.ts";
import { type CachedSubject, SUBJECT_BYTES, SubjectChanges } from "../cache/subject-changes.ts";
import type { VerifiedPrincipal } from "../principal.ts";
import { subjectsOf } from "./subjects.ts";

/** Principal of a token, or the error for which the token is refused. */
export type VerificationResult = { readonly principal: VerifiedPrincipal } | { readonly refusal: DomainError };

export interface VerificationCacheOptions {
  /** Bound of the memory of principals; refusals have an eighth of it besides. */
  readonly maxBytes: number;
  /** Time to live of a principal in milliseconds, however well the feed works. */
  readonly maxAgeMs: number;
  readonly clock: Clock;
  readonly monotonic: () => number;
}

/** Cached principal, as `find` returns it. */
export interface CachedPrincipal extends CacheEntry {
  readonly result: { readonly principal: VerifiedPrincipal };
  /** Monotonic time at which its verification began. */
  readonly verifiedAt: number;
}

interface PrincipalEntry extends CachedPrincipal {
  readonly subjects: readonly CachedSubject[];
}

interface CachedRefusal extends CacheEntry {
  readonly result: { readonly refusal: DomainError };
}

const REFUSAL_TTL_MS = 1_000;

/** Memory of a refusal: mostly the stack of its error. */
const REFUSAL_BYTES = 2_048;

/** Memory of a digest, and of the objects and arrays of a principal without their texts. `test/bench/caches.ts` compares. */
const PRINCIPAL_BYTES = CACHE_SLOT_BYTES + 288;

/** Memory of a text besides its characters, and of a reference to it. */
const TEXT_BYTES = 24;

/** Memory of an id as a text, and of two references to its subject. */
const ID_BYTES = TEXT_BYTES + 40;

/** Distinct lists of scopes that are kept, so that principals with equal scopes share one. */
const MAX_SCOPE_LISTS = 1_000;

/**
 * Two caches of verification results, for principals and for refusals, keyed by the SHA-256 digest of the token and bounded by
 * memory. The time to live of an entry counts from the start of its verification; using it does not extend it.
 */
export class VerificationCache {
  readonly #options: VerificationCacheOptions;
  readonly #principals: MemoryBoundedCache<string, PrincipalEntry>;
  readonly #refusals: MemoryBoundedCache<string, CachedRefusal>;
  readonly #subjects = new SubjectChanges();
  readonly #scopeLists = new Map<string, readonly string[]>();

  constructor(options: VerificationCacheOptions) {
    this.#options = options;
    const { maxBytes } = options;
    this.#principals = new MemoryBoundedCache({
      name: "keys",
      maxBytes,
      onRemove: ({ subjects }) => subjects.forEach((subject) => this.#subjects.release(subject)),
    });
    this.#refusals = new MemoryBoundedCache({ name: "refused_keys", maxBytes: maxBytes / 8 });
  }

  /** Estimated memory of all results. */
  get bytes(): number {
    return this.#principals.bytes + this.#refusals.bytes;
  }

  find(digest: string): CachedPrincipal | CachedRefusal | undefined {
    const now = this.#options.monotonic();
    return this.#principals.find(digest, now, this.#isValid) ?? this.#refusals.find(digest, now);
  }

  /** Caches a result in place of an earlier one. @param startedAt monotonic time at which the verification began */
  add(digest: string, result: VerificationResult, startedAt: number): void {
    if ("principal" in result) {
      this.#refusals.delete(digest);
      this.#principals.put(digest, this.#toEntry(result.principal, startedAt));
    } else {
      this.#principals.delete(digest);
      const expiresAt = startedAt + REFUSAL_TTL_MS;
      this.#refusals.put(digest, { result, expiresAt, bytes: REFUSAL_BYTES, isUsed: false });
    }
  }

  /** Invalidates the principals that depend on a subject, and all refusals, because they name no subject. */
  invalidate(subjectId: string): void {
    this.#refusals.clear();
    this.#subjects.markChanged(subjectId);
  }

  clear(): void {
    this.#principals.clear();
    this.#refusals.clear();
  }

  readonly #isValid = ({ result, subjects }: PrincipalEntry): boolean =>
    !isExpired(result.principal, this.#options.clock()) && !subjects.some(hasChanged);

  #toEntry(principal: VerifiedPrincipal, startedAt: number): PrincipalEntry {
    const { clock, monotonic, maxAgeMs } = this.#options;
    const subjects = subjectsOf(principal).map((id) => this.#subjects.acquire(id));
    return {
      result: { principal: this.#share(principal) },
      subjects,
      verifiedAt: startedAt,
      expiresAt: Math.min(startedAt + maxAgeMs, monotonicExpiryOf(principal, clock, monotonic)),
      bytes: bytesOf(principal, subjects),
      isUsed: false,
    };
  }

  /** Returns the principal with a list of scopes that is shared with other principals. */
  #share(principal: VerifiedPrincipal): VerifiedPrincipal {
    const name = principal.scopes.join(" ");
    const scopes = this.#scopeLists.get(name) ?? principal.scopes;
    if (this.#scopeLists.size >= MAX_SCOPE_LISTS) this.#scopeLists.clear();
    this.#scopeLists.set(name, scopes);
    return { ...principal, scopes };
  }
}

function hasChanged(subject: CachedSubject): boolean {
  return subject.hasChanged;
}

/** Estimates the memory of a cached principal. Scopes count although most share them: a list may be of this one alone. */
function bytesOf(principal: VerifiedPrincipal, subjects: readonly CachedSubject[]): number {
  const ofScopes = principal.scopes.reduce((sum, scope) => sum + TEXT_BYTES + scope.length, 0);
  const own = subjects.filter(({ uses }) => uses === 1).length;
  return PRINCIPAL_BYTES + ofScopes + subjects.length * ID_BYTES + own * SUBJECT_BYTES;
}

/** Milliseconds since the epoch; undefined if the credential never expires. */
function expiryOf(principal: VerifiedPrincipal): number | undefined {
  return principal.expiresAt?.getTime();
}

/** Monotonic time at which a credential expires, so that setting the wall clock back prolongs nothing; Infinity if it never does. */
export function monotonicExpiryOf(principal: VerifiedPrincipal, clock: Clock, monotonic: () => number): number {
  const expiry = expiryOf(principal);
  return expiry === undefined ? Infinity : monotonic() + expiry - clock();
}

/** True from the millisecond of the expiry on. */
export function isExpired(principal: VerifiedPrincipal, now: number): boolean {
  const expiry = expiryOf(principal);
  return expiry !== undefined && expiry <= now;
}
