import type { ReceivedRequest } from "./received.ts";
import type { Turn } from "./turn.ts";

/** Forms of a turn and of a refusal on one wire. */
export interface WireAnswer {
  whole(turn: Turn, request: ReceivedRequest): object;
  /** Events of a stream, as text; if the turn breaks off, the last event is its error. */
  events(turn: Turn, request: ReceivedRequest): readonly string[];
  refusal(status: number, message: string, details?: object): object;
}

/** Keeps the first half of the events, and ends them with an error. */
export function breakOff(events: readonly string[], error: string): readonly string[] {
  return [...events.slice(0, Math.ceil(events.length / 2)), error];
}

let created = 0;

/** Returns an id that no other answer of this process has. */
export function newId(prefix: string): string {
  created++;
  return `${prefix}_${created.toString().padStart(8, "0")}`;
}
