/** Dimensions that usage is grouped by. */
export const DIMENSIONS = ["key", "model", "provider", "status", "hour", "day"] as const;
export type DimensionName = (typeof DIMENSIONS)[number];

/** Amounts by which the largest values of a dimension are chosen. */
export const MEASURES = ["spend", "requests", "tokens", "denied"] as const;
export type MeasureName = (typeof MEASURES)[number];

/** Statuses of requests. */
export const STATUSES = ["pending", "succeeded", "failed", "cancelled", "denied", "unknown"] as const;
export type StatusName = (typeof STATUSES)[number];
