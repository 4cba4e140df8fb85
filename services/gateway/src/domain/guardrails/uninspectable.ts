import { type Direction, judgeUninspectable } from "@routeplane/guardrails";
import type { DecisionLog } from "./decision-log.ts";
import type { Guard } from "./guard.ts";

/** Records the guardrails in shadow mode that would have refused content that cannot be inspected. */
export function recordUninspectable({ shadows }: Guard, decisions: DecisionLog, direction: Direction): void {
  for (const { applied, effective } of shadows) {
    const violation = judgeUninspectable(effective, direction);
    if (violation !== undefined) decisions.addShadowViolation(applied.bindingId, violation.rule);
  }
}
