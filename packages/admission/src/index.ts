export { type Budget, type BudgetRequest, decide, type Decision } from "./decide.ts";
export { requestCost, reservation, type TokenPrice } from "./price.ts";
export { BUDGET_WINDOWS, type BudgetWindow, bucketStart, oldestCountedBucket, whenBucketLeaves } from "./window.ts";
