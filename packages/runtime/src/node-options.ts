/**
 * NODE_OPTIONS of the aggregator, wherever it runs. The young space holds several batches, so that most garbage of a batch is collected
 * there without being copied. The limit of the old space is not meant to be reached: V8 derives from it how much garbage it tolerates
 * (twice the live heap at most). Measured over a lag of a million events: 262 MB with these options, 320 to 440 MB with the defaults of
 * Node; with a limit of 192 MB V8 collected all the time, which took 14 us of CPU per event.
 */
export const AGGREGATOR_NODE_OPTIONS = "--max-semi-space-size=32 --max-old-space-size=1000";

/**
 * NODE_OPTIONS of the usage query API, wherever it runs. A small young space is collected more often, but in 2 ms instead of 10, a pause
 * that the slowest of a hundred reads had to wait for: see test/bench/README.md.
 */
export const USAGE_NODE_OPTIONS = "--max-semi-space-size=1";
