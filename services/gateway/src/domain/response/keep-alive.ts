import type { SseEvent } from "../wire/sse.ts";

const KEEP_ALIVE = /^\s*(?:$|\{\s*"type"\s*:\s*"(?:ping|keepalive|heartbeat)")/;
const MAX_CHARS = 200;

/** True for an event that says no more than that the connection is alive: a comment, blank data, a ping. */
export function isKeepAlive({ data, name }: Pick<SseEvent, "data" | "name">): boolean {
  return data === undefined || (data.length <= MAX_CHARS && (name === "ping" || KEEP_ALIVE.test(data)));
}
