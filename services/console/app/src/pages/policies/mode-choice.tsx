import { BindingMode } from "@routeplane/contracts/policy";
import { useId } from "react";
import styles from "./mode-choice.module.css";

interface ModeChoiceProps {
  readonly mode: BindingMode;
  readonly onChange: (mode: BindingMode) => void;
}

const MODES = [
  [
    BindingMode.SHADOW,
    "Shadow",
    "Records which requests it would have refused, and lets all of them through: see what it does before it does it.",
  ],
  [BindingMode.ENFORCE, "Enforce", "Refuses requests that break it, from the next one on."],
] as const;

/** Choice of the mode of a binding, shadow first. */
export function ModeChoice({ mode, onChange }: ModeChoiceProps) {
  const name = useId();
  return (
    <fieldset className={styles.choice}>
      <legend>Mode</legend>
      {MODES.map(([value, title, meaning]) => (
        <label key={value} className={styles.option}>
          <input type="radio" name={name} checked={mode === value} onChange={() => onChange(value)} />
          <span>
            {title}
            <small>{meaning}</small>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
