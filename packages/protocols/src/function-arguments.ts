import type { PartStart } from "./model.ts";

/** Arguments of a function that has none: clients parse them as JSON. */
export const NO_ARGUMENTS = "{}";

export function isFunction(start: PartStart): boolean {
  return start.type === "tool_call" && start.kind === "function";
}
