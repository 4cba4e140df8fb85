import type { ReactNode } from "react";
import { BudgetForm } from "./budget-form.tsx";
import type { PolicyDraft } from "./draft.ts";
import styles from "./forms.module.css";
import { GuardrailForm } from "./guardrail-form.tsx";
import { RateLimitForm } from "./rate-limit-form.tsx";
import type { SpecFormProps } from "./form.ts";

const PARTS = [
  ["budget", "budget", "Budget"],
  ["rateLimit", "rate_limit", "Rate limit"],
  ["guardrail", "guardrail", "Guardrail"],
] as const;

/** Fields of a preset: the fields of each ticked kind. */
export function PresetForm({ draft, faults, onEdit }: SpecFormProps) {
  const forms: Readonly<Record<keyof PolicyDraft["parts"], ReactNode>> = {
    budget: (
      <BudgetForm
        draft={draft.budget}
        path="spec.budget"
        faults={faults}
        onEdit={(field, change) => onEdit(field, { budget: { ...draft.budget, ...change } })}
      />
    ),
    rateLimit: (
      <RateLimitForm
        draft={draft.rateLimit}
        path="spec.rate_limit"
        faults={faults}
        onEdit={(field, change) => onEdit(field, { rateLimit: { ...draft.rateLimit, ...change } })}
      />
    ),
    guardrail: (
      <GuardrailForm
        draft={draft.guardrail}
        path="spec.guardrail"
        faults={faults}
        onEdit={(field, change) => onEdit(field, { guardrail: { ...draft.guardrail, ...change } })}
      />
    ),
  };
  return (
    <div className={styles.form}>
      {PARTS.map(([part, name, title]) => (
        <fieldset key={part} className={styles.group}>
          <legend>
            <label className={styles.check}>
              <input
                type="checkbox"
                checked={draft.parts[part]}
                onChange={({ target }) => onEdit(`spec.${name}`, { parts: { ...draft.parts, [part]: target.checked } })}
              />
              {title}
            </label>
          </legend>
          {draft.parts[part] ? forms[part] : <small className={styles.hint}>Not part of this preset.</small>}
          {draft.parts[part] && faults.has(`spec.${name}`) && <PartFault rule={faults.get(`spec.${name}`) ?? ""} />}
        </fieldset>
      ))}
    </div>
  );
}

function PartFault({ rule }: { readonly rule: string }) {
  return (
    <small className={styles.error} role="alert">
      This part {rule}.
    </small>
  );
}
