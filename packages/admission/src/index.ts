export {
  type Amount,
  type BudgetLimit,
  closeBudgetOn,
  closeRateOn,
  type Closing,
  type Counter,
  counterFor,
  type Limits,
  NEW_COUNTER,
  openOn,
  type RateLimit,
  type Taken,
} from "./counter.ts";
export { decide, type Decision, type Excess, type LimitedBinding, type RequestBounds } from "./decide.ts";
export { type LimitRule, type Meter, metersOf } from "./meters.ts";
export { requestCost, reservation, type TokenPrice } from "./price.ts";
export { type LimitState, type RateState, rateStateOf } from "./rate-state.ts";
export { fromRingNumbers, type Ring, ringFreesAt, ringSum, toRingNumbers } from "./ring.ts";
export { BUDGET_WINDOWS, type BudgetWindow } from "./window.ts";
