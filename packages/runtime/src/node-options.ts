/**
 * NODE_OPTIONS of the aggregator, wherever it runs. Young space for several batches, so that what a batch leaves dies there and is
 * not copied. The limit is not there to be reached: by it Node decides how much garbage it lets lie about. At 512 MB the old space
 * grows to twice what is in use at most, and the process to 240 MB over any backlog; with what Node takes by itself, to 440 MB;
 * at 192 MB Node collects all the time, which is half of all that the process computes.
 */
export const AGGREGATOR_NODE_OPTIONS = "--max-semi-space-size=32 --max-old-space-size=1000";
