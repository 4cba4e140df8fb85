import { useTransport } from "@connectrpc/connect-query";
import type { Namespace } from "@routeplane/contracts/auth";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { Field } from "../../components/field.tsx";
import { useRefresh } from "../../rpc/use-refresh.ts";
import { NAMESPACE_CHANGES, type NamespaceChangeName } from "./namespace-changes.ts";
import styles from "./namespaces.module.css";

interface NamespaceChangeDialogProps {
  readonly namespace: Namespace;
  readonly change: NamespaceChangeName;
  readonly onClose: () => void;
}

/** Asks before the state of a namespace is changed. For a deletion, the name must be typed. */
export function NamespaceChangeDialog({ namespace: { id, name }, change, onClose }: NamespaceChangeDialogProps) {
  const transport = useTransport();
  const refresh = useRefresh();
  const { title, question, failure, isHarmful, call } = NAMESPACE_CHANGES[change];
  const [typed, setTyped] = useState("");
  const { mutate, error, isPending } = useMutation({
    mutationFn: (): Promise<unknown> => call(transport, id),
    onSuccess: async () => {
      onClose();
      await refresh();
    },
  });
  return (
    <Dialog title={`${title} ${name}?`} onClose={onClose}>
      <p className={styles.text}>{question}</p>
      {change === "delete" && (
        <Field label="Type the name of the namespace to delete it">
          <input
            value={typed}
            autoComplete="off"
            spellCheck={false}
            onChange={({ target }) => setTyped(target.value)}
          />
        </Field>
      )}
      {error !== null && <ChangeError error={error} what={failure} />}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button
          kind={isHarmful ? "danger" : "primary"}
          disabled={change === "delete" && typed.trim() !== name}
          isBusy={isPending}
          onClick={() => mutate()}
        >
          {title}
        </Button>
      </DialogActions>
    </Dialog>
  );
}
