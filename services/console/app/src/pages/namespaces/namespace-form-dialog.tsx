import { callUnaryMethod, useTransport } from "@connectrpc/connect-query";
import { type Namespace, NamespaceService } from "@routeplane/contracts/auth";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Button } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { Field } from "../../components/field.tsx";
import { useInvalidFocus } from "../../components/use-invalid-focus.ts";
import { errorAt, formErrorsOf } from "../../rpc/form-errors.ts";
import { useRefresh } from "../../rpc/use-refresh.ts";
import styles from "./namespaces.module.css";
import { useAccountNames } from "./use-namespaces.ts";

interface NamespaceFormDialogProps {
  /** Namespace to rename; absent: a new one is created. */
  readonly renamed?: Namespace;
  readonly onClose: () => void;
}

/** Creates a namespace, or renames one. */
export function NamespaceFormDialog({ renamed, onClose }: NamespaceFormDialogProps) {
  const transport = useTransport();
  const refresh = useRefresh();
  const accounts = useAccountNames();
  const [name, setName] = useState(renamed?.name ?? "");
  const [chosenAccount, setAccount] = useState("");
  const account = chosenAccount || ([...accounts.keys()][0] ?? "");
  const { mutate, error, isPending } = useMutation({
    mutationFn: (): Promise<unknown> =>
      renamed === undefined
        ? callUnaryMethod(transport, NamespaceService.method.createNamespace, { name, account })
        : callUnaryMethod(transport, NamespaceService.method.renameNamespace, { namespace: renamed.id, name }),
    onSuccess: async () => {
      onClose();
      await refresh();
    },
  });
  const errors = formErrorsOf(error);
  const form = useInvalidFocus(error);
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    mutate();
  };
  return (
    <Dialog title={renamed === undefined ? "Create a namespace" : "Rename the namespace"} onClose={onClose}>
      <form ref={form} className={styles.form} onSubmit={onSubmit} noValidate>
        <Field
          label="Name"
          hint="1 to 63 of a-z, 0-9 and -, starting with a letter; unique in its account."
          error={errorAt(errors, "name")}
        >
          <input
            value={name}
            maxLength={63}
            autoComplete="off"
            spellCheck={false}
            onChange={({ target }) => setName(target.value)}
          />
        </Field>
        {renamed === undefined && accounts.size > 1 && (
          <Field label="Account" error={errorAt(errors, "account")}>
            <select value={account} onChange={({ target }) => setAccount(target.value)}>
              {[...accounts].map(([id, title]) => (
                <option key={id} value={id}>
                  {title}
                </option>
              ))}
            </select>
          </Field>
        )}
        {error !== null && errors.size === 0 && (
          <ChangeError
            error={error}
            what={renamed === undefined ? "The namespace was not created." : "The namespace was not renamed."}
          />
        )}
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" isBusy={isPending}>
            {renamed === undefined ? "Create" : "Rename"}
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}
