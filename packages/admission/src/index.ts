export {
  type DatedAmount,
  type BudgetLimit,
  endBudgetReservation,
  endRateLimitReservation,
  type ReservationEnd,
  type Counter,
  resizeCounter,
  type Limits,
  EMPTY_COUNTER,
  addReservation,
  type RateLimit,
  type Reservation,
} from "./counter.ts";
export { decideAdmission, type Decision, type Excess, type LimitedBinding, type RequestBounds } from "./decide.ts";
export { type LimitRule, type LimitState, limitStatesOf } from "./limit-states.ts";
export { dearestPrice, type Rates, requestCost, reservationCost, type TokenPrice, type UsedTokens } from "./price.ts";
export { type RateLimitState, type TightestLimits, tightestLimitsOf } from "./tightest-limits.ts";
export {
  addToRing,
  fromStoredRing,
  type Ring,
  ringFreesAt,
  ringSum,
  type StoredRing,
  subtractFromRing,
  toStoredRing,
} from "./bucket-ring.ts";
export {
  BUDGET_WINDOWS,
  type BudgetWindow,
  budgetWindowSecs,
  DEFAULT_TIME_ZONE,
  isCalendarWindow,
  rateBucketMs,
} from "./window.ts";
export { Appetite } from "./slices/appetite.ts";
export { LimitSet, type SliceBounds, type SliceReservation } from "./slices/limit-set.ts";
export { RateSlices } from "./slices/rate-slices.ts";
export { StandingSlice } from "./slices/standing-slice.ts";
