/**
 * State of a gateway session. It is granted slices only while `open` and not left. `ended`: granted nothing, its requests are reported;
 * `settled`: settled from the usage log, what may have been in doubt is held back; `closed`: final.
 */
export type SessionState = "open" | "ended" | "settled" | "closed";

/** Dimensions whose slices are kept as sums. Rate slices need none: they are counted in their window at once. */
export type SliceDimension = "money" | "concurrent";
