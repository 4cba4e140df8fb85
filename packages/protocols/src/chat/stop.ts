import type { Stop, StopReason } from "../model.ts";

const READ: ReadonlyMap<unknown, StopReason> = new Map([
  ["stop", "end"],
  ["length", "output_limit"],
  ["tool_calls", "tool_calls"],
  ["function_call", "tool_calls"],
  ["content_filter", "content_filter"],
  // Names from other wires, which some upstreams use.
  ["end_turn", "end"],
  ["max_tokens", "output_limit"],
  ["tool_use", "tool_calls"],
]);

/** Finish reason of each stop. The only unfinished answers on the chat wire are those at the output bound. */
const WRITTEN: Readonly<Record<StopReason, string>> = {
  end: "stop",
  stop_sequence: "stop",
  output_limit: "length",
  context_limit: "length",
  pause: "length",
  tool_calls: "tool_calls",
  refusal: "content_filter",
  content_filter: "content_filter",
};

/** Finish reason by which some upstreams say that an answer failed. It is no stop: no other wire has it. */
export const FAILED = "error";

/**
 * Reads a finish reason; an unknown one is read as a normal end.
 *
 * @param content kinds of content that the answer has: some upstreams write `stop` for every end
 */
export function readFinish(
  value: unknown,
  content: { readonly hasCalls: boolean; readonly hasRefusal: boolean },
): Stop {
  if (typeof value !== "string" || value === "" || value === FAILED) return {};
  const reason = READ.get(value) ?? "end";
  if (reason !== "end") return { reason };
  if (content.hasRefusal) return { reason: "refusal" };
  return { reason: content.hasCalls ? "tool_calls" : "end" };
}

/** Writes a finish reason; null for a stop whose reason is not known. */
export function toFinish({ reason }: Stop): string | null {
  return reason === undefined ? null : WRITTEN[reason];
}
