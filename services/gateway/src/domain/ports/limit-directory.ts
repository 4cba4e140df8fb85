import type { Id } from "@routeplane/domain";
import type { SliceDimension } from "./gateway-sessions.ts";

/** Limit that applies to a key: one counter of one binding. */
export interface AppliedLimit {
  readonly bindingId: string;
  readonly dimension: SliceDimension;
  /** Maximum; 0 for money, which is shown to nobody. */
  readonly limit: number;
  readonly isShadow: boolean;
  /** Text of the limit as it is set: another one after an edit. */
  readonly terms: string;
}

/** Limits that apply to a key. The same object for all keys to which the same limits apply, for as long as nothing changes. */
export interface AppliedLimits {
  readonly limits: readonly AppliedLimit[];
  /** True if a request on them must be admitted by the policy service. */
  readonly isCentral: boolean;
  /** Equal for equal counters. */
  readonly name: string;
}

/** Limits by key, as far as they are known without a call. */
export interface LimitDirectory {
  /** Returns the limits that apply to a key; undefined if they are not known now: the policy service must admit its requests. */
  findLimits(caller: { readonly namespaceId: Id<"ns">; readonly keyId: Id<"key"> }): AppliedLimits | undefined;
}
