import { isObject } from "../json.ts";
import type { Stop, StopReason } from "../model.ts";

const READ: ReadonlyMap<unknown, StopReason> = new Map([
  ["end_turn", "end"],
  ["max_tokens", "output_limit"],
  ["stop_sequence", "stop_sequence"],
  ["tool_use", "tool_calls"],
  ["pause_turn", "pause"],
  ["refusal", "refusal"],
  ["model_context_window_exceeded", "context_limit"],
]);

const WRITTEN: Readonly<Record<StopReason, string>> = {
  end: "end_turn",
  output_limit: "max_tokens",
  stop_sequence: "stop_sequence",
  tool_calls: "tool_use",
  pause: "pause_turn",
  refusal: "refusal",
  content_filter: "refusal",
  context_limit: "model_context_window_exceeded",
};

/** Reads the stop of an answer, or of the `delta` that ends it; an unknown reason is read as a normal end. */
export function readStop(value: Readonly<Record<string, unknown>>): Stop {
  const { stop_reason: reason, stop_sequence: sequence, stop_details: details } = value;
  if (typeof reason !== "string") return {};
  const explanation = isObject(details) ? details["explanation"] : undefined;
  return {
    reason: READ.get(reason) ?? "end",
    ...(typeof sequence === "string" && { sequence }),
    ...(typeof explanation === "string" && { explanation }),
  };
}

/** Members of an answer for its stop. */
export function toStop({ reason, sequence, explanation }: Stop) {
  return {
    stop_reason: reason === undefined ? null : WRITTEN[reason],
    stop_sequence: sequence ?? null,
    ...(explanation !== undefined && { stop_details: { type: "refusal", category: null, explanation } }),
  };
}
