import type { Budget, BudgetWindow } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { BoundPrincipal } from "./policy.ts";

/** A budget as it stands, with where it comes from. */
export interface AppliedBudget extends Budget {
  readonly bindingId: Id<"bnd">;
  readonly principal: BoundPrincipal;
  readonly policyId: Id<"pol">;
  readonly policyName: string;
  readonly window: BudgetWindow;
}

/**
 * Money set aside for a request on every budget that applied when it was admitted.
 *
 *     open --settle--> settled      charged what it cost
 *     open --void----> voided       charged nothing
 *     open --expire--> expired      charged in full
 *     expired --settle--> settled   the charge is corrected to what it cost
 */
export interface Hold {
  readonly requestId: Id<"req">;
  readonly bindingIds: readonly Id<"bnd">[];
  /** Nano-USD on each of the budgets. */
  readonly amountNano: bigint;
  /** The output bound that was granted. */
  readonly outputTokensMax: bigint;
  readonly expiresAt: Date;
  readonly state: "open" | "settled" | "voided" | "expired";
  /** When it reached this state; undefined while it is open. */
  readonly closedAt: Date | undefined;
}

/** A change of a hold and what it does to each of its budgets. Nano-USD. */
export interface HoldChange {
  readonly state: "settled" | "voided" | "expired";
  /** What the request cost, if that is known. */
  readonly costNano: bigint | undefined;
  /** Taken off what is reserved. */
  readonly releaseNano: bigint;
  /** Added to what is spent, at a moment; < 0 takes back part of what was charged then. */
  readonly charge: { readonly nano: bigint; readonly at: Date } | undefined;
}

/** Charges what it cost, be that more than was reserved. A hold that had expired gets its charge corrected. */
export function settle(hold: Hold, costNano: bigint, now: Date): HoldChange | undefined {
  const settled = { state: "settled", costNano } as const;
  if (hold.state === "open") {
    return { ...settled, releaseNano: hold.amountNano, charge: { nano: costNano, at: now } };
  }
  if (hold.state !== "expired" || hold.closedAt === undefined) return undefined;
  const nano = costNano - hold.amountNano;
  // What was charged too much is taken back where it was charged; an overrun is spent now.
  return { ...settled, releaseNano: 0n, charge: { nano, at: nano < 0n ? hold.closedAt : now } };
}

export function voidHold(hold: Hold): HoldChange | undefined {
  if (hold.state !== "open") return undefined;
  return { state: "voided", costNano: undefined, releaseNano: hold.amountNano, charge: undefined };
}

/** Charges all of it: what the request cost is unknown, and unknown is not free. */
export function expire(hold: Hold, now: Date): HoldChange | undefined {
  if (hold.state !== "open" || hold.expiresAt > now) return undefined;
  const { amountNano } = hold;
  return { state: "expired", costNano: undefined, releaseNano: amountNano, charge: { nano: amountNano, at: now } };
}
