import type { Receipt } from "@routeplane/contracts/usage";

/** Segment of the time of a request, in milliseconds since the gateway received it. */
export interface Stretch {
  readonly name: string;
  /** `upstream`: an attempt; `gateway`: the time before, between and after them. */
  readonly by: "gateway" | "upstream";
  readonly startMs: number;
  readonly endMs: number;
  /** Outcome of an attempt, e.g. `429 rate_limit_exceeded`; empty for the gateway. */
  readonly outcome: string;
}

/** Division of the time of a request. */
export interface Timeline {
  readonly totalMs: number;
  readonly stretches: readonly Stretch[];
  /** Time to the first token; undefined if the request was no stream, or no token arrived. */
  readonly firstTokenMs: number | undefined;
}

/**
 * Divides the time of a request; undefined while it is not known. Attempts without a start time follow one another; without an attempt the
 * time is not divided.
 */
export function timelineOf({ attempts, totalMs, timeToFirstTokenMs }: Receipt): Timeline | undefined {
  if (totalMs === undefined) return undefined;
  const stretches: Stretch[] = [];
  let reached = 0;
  const gatewayUntil = (endMs: number): void => {
    const name = reached === 0 ? "Gateway, before the upstream" : "Gateway";
    if (endMs > reached) stretches.push({ name, by: "gateway", startMs: reached, endMs, outcome: "" });
  };
  for (const { provider, model, status, errorCode, startedMs = reached, durationMs } of attempts) {
    gatewayUntil(startedMs);
    reached = startedMs + durationMs;
    const outcome = [status, errorCode].filter(Boolean).join(" ") || "no answer";
    const name = [provider, model].filter(Boolean).join("/");
    stretches.push({ name, by: "upstream", startMs: startedMs, endMs: reached, outcome });
  }
  const total = Math.max(Number(totalMs), reached);
  if (total > reached && attempts.length > 0)
    stretches.push({ name: "Gateway, after the upstream", by: "gateway", startMs: reached, endMs: total, outcome: "" });
  return { totalMs: total, stretches, firstTokenMs: timeToFirstTokenMs };
}
