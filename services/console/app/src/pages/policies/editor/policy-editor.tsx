import type { Policy } from "@routeplane/contracts/policy";
import { POLICY_KINDS, type PolicyKind } from "@routeplane/policy-spec";
import { type FormEvent, useRef, useState } from "react";
import { Link } from "wouter";
import { Button } from "../../../components/button.tsx";
import { ChangeError } from "../../../components/change-error.tsx";
import { Field } from "../../../components/field.tsx";
import { Notice } from "../../../components/notice.tsx";
import { isWhole } from "../../../components/principal-select.tsx";
import { Section } from "../../../components/section.tsx";
import { Preview } from "../preview/preview.tsx";
import { KIND_TITLES } from "../spec.ts";
import { BindingChoice, type ChosenBinding } from "./binding-choice.tsx";
import { faultAt } from "./draft-faults.ts";
import type { PolicyDraft } from "./draft.ts";
import styles from "./forms.module.css";
import { JsonForm } from "./json-form.tsx";
import { serviceFaults } from "./service-faults.ts";
import { MAX_NAME_CHARS } from "./spec-faults.ts";
import { SpecForm } from "./spec-form.tsx";
import { usePolicyDraft } from "./use-policy-draft.ts";
import { useSavePolicy } from "./use-save-policy.ts";

interface PolicyEditorProps {
  readonly initial: PolicyDraft;
  /** Policy that is edited; undefined for a new one. */
  readonly policy?: Policy;
  /** Binding that is suggested for a new policy; for an existing one, its principal is the initial one of the preview. */
  readonly initialBinding: ChosenBinding;
  readonly onKind?: (kind: PolicyKind) => void;
}

/** Editor of a policy: its fields or its JSON, the binding of a new one, a preview of its effect, and the button that saves it. */
export function PolicyEditor({ initial, policy, initialBinding, onKind }: PolicyEditorProps) {
  const editor = usePolicyDraft(initial);
  const [binding, setBinding] = useState(initialBinding);
  const [isRefused, setRefused] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const { save, created, error, isPending, reset } = useSavePolicy(policy);
  const { draft, jsonText, spec } = editor;
  const faults = error === null ? editor.shown : new Map([...editor.shown, ...serviceFaults(error, draft.kind)]);

  const isBoundToNothing = policy === undefined && binding.isBound && !isWhole(binding.principal);
  const isComplete = editor.isValid && spec !== undefined && !isBoundToNothing;
  const edit: typeof editor.edit = (field, change) => {
    reset();
    setRefused(false);
    editor.edit(field, change);
  };
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (isComplete) {
      save({ name: draft.name, spec, binding: policy === undefined ? binding : undefined });
      return;
    }
    editor.showAll();
    setRefused(true);
    // After the render that marks the faults.
    requestAnimationFrame(() => form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
  };

  if (created !== undefined) {
    return (
      <>
        {error !== null && (
          <ChangeError
            error={error}
            what="The policy was created, but not bound."
            uncertain="The policy was created. It is not certain whether it was bound."
          />
        )}
        <Link href={`/policies/${created.id}`}>Open {created.name} to bind it</Link>
      </>
    );
  }
  return (
    <form ref={form} className={styles.page} onSubmit={submit} noValidate>
      <Section
        title="Rules"
        actions={
          jsonText === undefined ? (
            <Button onClick={editor.openJson}>Edit as JSON</Button>
          ) : (
            <Button onClick={() => setRefused(!editor.openForm())}>Edit in the form</Button>
          )
        }
      >
        <div className={styles.form}>
          <div className={styles.row}>
            {policy === undefined && (
              <Field label="Kind">
                <select
                  value={draft.kind}
                  disabled={jsonText !== undefined}
                  onChange={({ target }) => {
                    const kind = target.value as PolicyKind;
                    edit("kind", { kind });
                    onKind?.(kind);
                  }}
                >
                  {POLICY_KINDS.map((kind) => (
                    <option key={kind} value={kind}>
                      {KIND_TITLES[kind]}
                    </option>
                  ))}
                </select>
              </Field>
            )}
            <Field label="Name" hint="Unique in the namespace; denials name it." error={faultAt(faults, "name")}>
              <input
                value={draft.name}
                maxLength={2 * MAX_NAME_CHARS}
                autoComplete="off"
                onChange={({ target }) => edit("name", { name: target.value })}
              />
            </Field>
          </div>
          {jsonText === undefined ? (
            <SpecForm draft={draft} faults={faults} onEdit={edit} />
          ) : (
            <JsonForm
              text={jsonText}
              faults={new Map([...faults].filter(([path]) => path !== "name"))}
              onEdit={(text) => {
                reset();
                setRefused(false);
                editor.editJson(text);
              }}
            />
          )}
          {jsonText === undefined && faults.has("spec") && (
            <small className={styles.error} role="alert">
              {faultAt(faults, "spec")}
            </small>
          )}
          {policy !== undefined && draft.kind !== "guardrail" && (
            <Notice kind="info">
              The counters of all bindings stay: a changed limit applies to what is already spent and used.
            </Notice>
          )}
        </div>
      </Section>
      {policy === undefined && <BindingChoice binding={binding} onChange={setBinding} />}
      <Preview spec={spec} policyId={policy?.id} principal={binding.principal} />
      {error !== null && <ChangeError error={error} what="The policy was not saved." />}
      {isRefused && !isComplete && (
        <Notice kind="error">
          <strong>The policy has faults.</strong> Correct what is marked, then save again.
        </Notice>
      )}
      <div className={styles.save}>
        <Button type="submit" kind="primary" isBusy={isPending}>
          {policy === undefined ? "Create the policy" : "Save the policy"}
        </Button>
        <Link href={policy === undefined ? "/policies" : `/policies/${policy.id}`}>Cancel</Link>
      </div>
    </form>
  );
}
