import { MAX_PATTERN_CHARS, MAX_PATTERN_NAME_CHARS, MAX_PATTERNS } from "@routeplane/guardrails/spec";
import { Button } from "../../../components/button.tsx";
import { Field } from "../../../components/field.tsx";
import { faultAt } from "./draft-faults.ts";
import type { PatternDraft } from "./draft.ts";
import styles from "./forms.module.css";
import type { Faults } from "./spec-faults.ts";

interface PatternListProps {
  readonly patterns: readonly PatternDraft[];
  /** Path of the list. */
  readonly path: string;
  readonly faults: Faults;
  readonly onEdit: (field: string, patterns: readonly PatternDraft[]) => void;
}

/** Form for the content patterns of a guardrail, whose matches are blocked or redacted. */
export function PatternList({ patterns, path, faults, onEdit }: PatternListProps) {
  const change = (index: number, field: keyof PatternDraft, value: string): void =>
    onEdit(
      `${path}[${index}].${field}`,
      patterns.map((pattern, at) => (at === index ? { ...pattern, [field]: value } : pattern)),
    );
  const add = (): void => {
    const row = Math.max(-1, ...patterns.map((pattern) => pattern.row)) + 1;
    onEdit(path, [...patterns, { row, name: "", pattern: "", action: "block", appliesTo: "both" }]);
  };
  const error = faults.get(path);
  return (
    <fieldset className={styles.group}>
      <legend>Content patterns</legend>
      <small className={styles.hint}>
        RE2 expressions. Texts are judged as they read: escapes undone, look-alike forms folded, streams as one text.
      </small>
      {patterns.map((pattern, index) => {
        const at = `${path}[${index}]`;
        return (
          <div key={pattern.row} className={styles.row} role="group" aria-label={`Pattern ${index + 1}`}>
            <Field label="Name in denials" error={faultAt(faults, `${at}.name`)}>
              <input
                value={pattern.name}
                maxLength={MAX_PATTERN_NAME_CHARS}
                onChange={({ target }) => change(index, "name", target.value)}
              />
            </Field>
            <Field label="Pattern" error={faultAt(faults, `${at}.pattern`)}>
              <input
                value={pattern.pattern}
                maxLength={MAX_PATTERN_CHARS}
                spellCheck={false}
                autoComplete="off"
                placeholder="AKIA[0-9A-Z]{16}"
                onChange={({ target }) => change(index, "pattern", target.value)}
              />
            </Field>
            <Field label="A match">
              <select value={pattern.action} onChange={({ target }) => change(index, "action", target.value)}>
                <option value="block">is refused</option>
                <option value="redact">is redacted</option>
              </select>
            </Field>
            <Field label="In">
              <select value={pattern.appliesTo} onChange={({ target }) => change(index, "appliesTo", target.value)}>
                <option value="both">requests and answers</option>
                <option value="request">requests</option>
                <option value="response">answers</option>
              </select>
            </Field>
            <Button
              className={styles.remove}
              aria-label={`Remove pattern ${index + 1}`}
              onClick={() =>
                onEdit(
                  path,
                  patterns.filter((_, other) => other !== index),
                )
              }
            >
              Remove
            </Button>
          </div>
        );
      })}
      {error !== undefined && (
        <small className={styles.error} role="alert">
          {error}
        </small>
      )}
      {patterns.length < MAX_PATTERNS && <Button onClick={add}>Add a pattern</Button>}
    </fieldset>
  );
}
