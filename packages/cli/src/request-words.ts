/** Dimensions that usage is grouped by. */
export const DIMENSIONS = ["key", "model", "provider", "status", "hour", "day"] as const;
export type DimensionName = (typeof DIMENSIONS)[number];

/** Statuses of requests. */
export const STATUSES = ["pending", "succeeded", "failed", "cancelled", "denied", "unknown"] as const;
export type StatusName = (typeof STATUSES)[number];
