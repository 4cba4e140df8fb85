import type { BindingMode } from "@routeplane/contracts/policy";
import { type ChosenPrincipal, PrincipalSelect } from "../../../components/principal-select.tsx";
import { Section } from "../../../components/section.tsx";
import { ModeChoice } from "../mode-choice.tsx";
import styles from "./forms.module.css";

/** Principal and mode of the first binding of a new policy. */
export interface ChosenBinding {
  readonly isBound: boolean;
  readonly principal: ChosenPrincipal;
  readonly mode: BindingMode;
}

interface BindingChoiceProps {
  readonly binding: ChosenBinding;
  readonly onChange: (binding: ChosenBinding) => void;
}

/** Choice of the principal that a new policy is bound to. The mode is shadow unless the person chooses otherwise. */
export function BindingChoice({ binding, onChange }: BindingChoiceProps) {
  return (
    <Section title="Where it applies">
      <div className={styles.form}>
        <label className={styles.check}>
          <input
            type="checkbox"
            checked={binding.isBound}
            onChange={({ target }) => onChange({ ...binding, isBound: target.checked })}
          />
          Bind it now
        </label>
        {binding.isBound ? (
          <>
            <PrincipalSelect
              label="Bind to"
              value={binding.principal}
              onChange={(principal) => onChange({ ...binding, principal })}
            />
            <ModeChoice mode={binding.mode} onChange={(mode) => onChange({ ...binding, mode })} />
          </>
        ) : (
          <small className={styles.hint}>A policy without bindings limits nothing.</small>
        )}
      </div>
    </Section>
  );
}
