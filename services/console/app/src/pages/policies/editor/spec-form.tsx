import { BudgetForm } from "./budget-form.tsx";
import type { SpecFormProps } from "./form.ts";
import { GuardrailForm } from "./guardrail-form.tsx";
import { PresetForm } from "./preset-form.tsx";
import { RateLimitForm } from "./rate-limit-form.tsx";

/** Form for the fields of the draft's kind. */
export function SpecForm({ draft, faults, onEdit }: SpecFormProps) {
  const { budget, rateLimit, guardrail } = draft;
  switch (draft.kind) {
    case "budget":
      return (
        <BudgetForm
          draft={budget}
          path="spec"
          faults={faults}
          onEdit={(field, change) => onEdit(field, { budget: { ...budget, ...change } })}
        />
      );
    case "rate_limit":
      return (
        <RateLimitForm
          draft={rateLimit}
          path="spec"
          faults={faults}
          onEdit={(field, change) => onEdit(field, { rateLimit: { ...rateLimit, ...change } })}
        />
      );
    case "guardrail":
      return (
        <GuardrailForm
          draft={guardrail}
          path="spec"
          faults={faults}
          onEdit={(field, change) => onEdit(field, { guardrail: { ...guardrail, ...change } })}
        />
      );
    case "preset":
      return <PresetForm draft={draft} faults={faults} onEdit={onEdit} />;
  }
}
