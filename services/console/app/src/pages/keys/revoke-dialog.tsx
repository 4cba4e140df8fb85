import { useMutation } from "@connectrpc/connect-query";
import { KeyService } from "@routeplane/contracts/auth";
import { useState } from "react";
import { Button } from "../../components/button.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Field } from "../../components/field.tsx";
import { Notice } from "../../components/notice.tsx";
import { formatCount } from "../../format/money.ts";
import { useCaller } from "../../rpc/use-caller.ts";
import { useRefresh } from "../../rpc/use-refresh.ts";
import styles from "./key-form.module.css";
import { branchesBelow, isRefused, type KeyBranch } from "./key-tree.ts";
import { type KeyTreeQuery, useAllKeys } from "./use-key-tree.ts";

/** Maximum number of key names that the question lists. */
const MAX_NAMES = 10;

interface RevokeDialogProps {
  readonly branch: KeyBranch;
  readonly query: KeyTreeQuery;
  readonly onClose: () => void;
}

/** Asks before a key is revoked. Shows how many keys end with it, and which. */
export function RevokeDialog({ branch, query, onClose }: RevokeDialogProps) {
  const { key } = branch;
  const { hasMore, moreError, readMore } = query;
  const refresh = useRefresh();
  const caller = useCaller();
  const [reason, setReason] = useState("");
  const [isSure, setSure] = useState(false);
  const { mutate, error, isPending } = useMutation(KeyService.method.revokeKey, {
    onSuccess: async () => {
      onClose();
      await refresh();
    },
  });
  // Keys below it can be on pages that have not been read yet.
  useAllKeys(query, true);
  const below = branchesBelow(branch).filter(({ state }) => !isRefused(state));
  const endsSession = [branch, ...below].some(({ key: { id } }) => id === caller?.keyId);
  const count = below.length + 1;

  return (
    <Dialog title="Revoke the key?" onClose={onClose}>
      <p className={styles.text}>
        <strong>
          <bdi>{key.name}</bdi>
        </strong>{" "}
        is refused at once and for good, and its running requests end.{" "}
        {hasMore ? (
          "Counting the keys below it…"
        ) : below.length === 0 ? (
          "There is no active key below it."
        ) : (
          <strong>
            {below.length === 1
              ? "1 active key below it ends"
              : `${formatCount(below.length)} active keys below it end`}{" "}
            with it:
          </strong>
        )}
      </p>
      {below.length > 0 && (
        <ul className={styles.list}>
          {below.slice(0, MAX_NAMES).map(({ key: { id, name } }) => (
            <li key={id}>
              <bdi>{name}</bdi>
            </li>
          ))}
          {below.length > MAX_NAMES && <li>and {formatCount(below.length - MAX_NAMES)} more</li>}
        </ul>
      )}
      {endsSession && <Notice kind="warn">Your session acts as one of these keys: it ends as well.</Notice>}
      <Field label="Reason" hint="Kept with the key and in the audit log; may be empty.">
        <input value={reason} maxLength={200} autoComplete="off" onChange={({ target }) => setReason(target.value)} />
      </Field>
      <label className={styles.sure}>
        <input type="checkbox" checked={isSure} onChange={({ target }) => setSure(target.checked)} />
        <span>I know that {count === 1 ? "the key" : `these ${formatCount(count)} keys`} cannot be brought back</span>
      </label>
      {moreError !== null && (
        <ErrorNotice error={moreError} what="The keys below it cannot be counted." onRetry={readMore} />
      )}
      {error !== null && <ChangeError error={error} what="The key was not revoked." />}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button
          kind="danger"
          disabled={!isSure || hasMore}
          isBusy={isPending}
          onClick={() => mutate({ id: key.id, reason: reason.trim() })}
        >
          {count === 1 ? "Revoke the key" : `Revoke ${formatCount(count)} keys`}
        </Button>
      </DialogActions>
    </Dialog>
  );
}
