import { useMutation } from "@connectrpc/connect-query";
import { KeyService } from "@routeplane/contracts/auth";
import { effectiveScopes } from "@routeplane/credentials/scopes";
import { type FormEvent, useState } from "react";
import { Button } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { Field } from "../../components/field.tsx";
import { formatTime } from "../../format/time.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";
import type { FieldErrors } from "../../rpc/field-errors.ts";
import { useRefresh } from "../../rpc/use-refresh.ts";
import { ExpiryFields } from "./expiry-fields.tsx";
import { errorAt, formErrorsOf } from "../../rpc/form-errors.ts";
import styles from "./key-form.module.css";
import type { KeyBranch } from "./key-tree.ts";
import { narrowScopeOptions } from "./scope-choice.ts";
import { ScopeCheckboxes } from "./scope-checkboxes.tsx";
import { type UpdateForm, updateFormOf, updateRequestOf } from "./update-form.ts";
import { useInvalidFocus } from "../../components/use-invalid-focus.ts";
import { nodeNow } from "../../format/node-clock.ts";

interface UpdateDialogProps {
  readonly branch: KeyBranch;
  readonly onClose: () => void;
}

/** Renames a key, removes scopes from it or brings its expiry forward. Removed scopes and time cannot be given back. */
export function UpdateDialog({ branch, onClose }: UpdateDialogProps) {
  const { key, lineage, state } = branch;
  const [timeZone] = useTimeZone();
  const refresh = useRefresh();
  const held = effectiveScopes(lineage.map(({ scopes }) => scopes));
  const [form, setForm] = useState<UpdateForm>(() => updateFormOf(key, held));
  const [faults, setFaults] = useState<FieldErrors>(new Map());
  const { mutate, error, isPending } = useMutation(KeyService.method.updateKey, {
    onSuccess: async () => {
      onClose();
      await refresh();
    },
  });
  const errors = faults.size > 0 ? faults : formErrorsOf(error);
  const element = useInvalidFocus(faults.size > 0 ? faults : error);
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    const read = updateRequestOf(form, key, held, nodeNow(), timeZone);
    setFaults("faults" in read ? read.faults : new Map());
    if ("request" in read) mutate(read.request);
  };

  return (
    <Dialog title="Change the key" onClose={onClose}>
      <form ref={element} className={styles.form} onSubmit={onSubmit} noValidate>
        <Field label="Name" error={errorAt(errors, "name")}>
          <input
            value={form.name}
            maxLength={100}
            autoComplete="off"
            onChange={({ target }) => setForm({ ...form, name: target.value })}
          />
        </Field>
        <ScopeCheckboxes
          options={narrowScopeOptions(held, form.scopes)}
          chosen={form.scopes}
          onChange={(scopes) => setForm({ ...form, scopes })}
          hint="A removed scope cannot be added again. It is removed from all keys below as well."
          error={errorAt(errors, "scopes")}
        />
        <ExpiryFields
          value={form.expiry}
          onChange={(expiry) => setForm({ ...form, expiry })}
          none={
            state.expiresAtMs === undefined
              ? "Never, as now"
              : `${formatTime(new Date(state.expiresAtMs), timeZone)}, as now`
          }
          hint="It can only be brought forward, and applies to all keys below as well."
          error={errorAt(errors, "expires_at")}
        />
        {error !== null && errors.size === 0 && <ChangeError error={error} what="The key was not changed." />}
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" isBusy={isPending}>
            Change
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}
