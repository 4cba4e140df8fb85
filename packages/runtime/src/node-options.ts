/**
 * NODE_OPTIONS of the aggregator, wherever it runs. Young space for several batches, so that most of what a batch leaves
 * dies there and is not copied. The limit of the old space is not there to be reached: by it V8 decides how much garbage
 * may lie about (twice what is in use, at most). Over a backlog of a million events the process takes 262 MB so; with what
 * Node takes by itself 320 to 440 MB; and at 192 MB V8 collected all the time, which was 14 us of CPU an event.
 */
export const AGGREGATOR_NODE_OPTIONS = "--max-semi-space-size=32 --max-old-space-size=1000";

/**
 * NODE_OPTIONS of the usage query API, wherever it runs. Its young space is emptied more often and in 2 ms rather than 10,
 * which is what the slowest reads of a hundred waited for: see test/bench/README.md.
 */
export const USAGE_NODE_OPTIONS = "--max-semi-space-size=1";
