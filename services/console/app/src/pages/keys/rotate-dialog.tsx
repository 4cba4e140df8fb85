import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { type Key, KeyService } from "@routeplane/contracts/auth";
import { useState } from "react";
import { Button } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { Field } from "../../components/field.tsx";
import { Time } from "../../components/time.tsx";
import { useRefresh } from "../../rpc/use-refresh.ts";
import { useSecretCall } from "../../rpc/use-secret-call.ts";
import styles from "./key-form.module.css";
import { type KeyToken, TokenDialog } from "./token-dialog.tsx";

const HOUR_MS = 3_600_000;

/** Choices for the grace of the replaced token, with their length in milliseconds. */
const GRACES: readonly (readonly [ms: number, title: string])[] = [
  [0, "None: the old token has leaked"],
  [HOUR_MS, "1 hour"],
  [24 * HOUR_MS, "1 day"],
  [7 * 24 * HOUR_MS, "7 days"],
];

interface RotateDialogProps {
  readonly target: Key;
  readonly onClose: () => void;
}

interface Rotated extends KeyToken {
  readonly graceEndsAt: Date | undefined;
}

/** Gives a key a new token, which is shown once. */
export function RotateDialog({ target, onClose }: RotateDialogProps) {
  const refresh = useRefresh();
  const [graceMs, setGraceMs] = useState(HOUR_MS);
  const [rotated, setRotated] = useState<Rotated>();
  const { call, error, isBusy } = useSecretCall(KeyService.method.rotateKey);
  const rotate = async (): Promise<void> => {
    const response = await call({ id: target.id, grace: durationFromMs(graceMs) });
    void refresh();
    if (response?.key === undefined) return;
    const graceEndsAt = response.graceEndsAt && timestampDate(response.graceEndsAt);
    setRotated({ key: response.key, token: response.token, graceEndsAt: graceMs === 0 ? undefined : graceEndsAt });
  };

  if (rotated !== undefined) {
    return (
      <TokenDialog title="Save the new token" keyToken={rotated} onClose={onClose}>
        <p className={styles.text}>
          {rotated.graceEndsAt === undefined ? (
            "The old token is refused from now on."
          ) : (
            <>
              The old token may call models and read until <Time date={rotated.graceEndsAt} isExact />.
            </>
          )}
        </p>
      </TokenDialog>
    );
  }
  return (
    <Dialog title="Rotate the key?" onClose={isBusy ? () => undefined : onClose}>
      <p className={styles.text}>
        <bdi>{target.name}</bdi> stays the same key, with its limits and its usage. Programs need the new token before
        the grace of the old one is over; in it the old token may only call models and read.
      </p>
      <Field label="Grace of the old token">
        <select value={graceMs} onChange={({ target: { value } }) => setGraceMs(Number(value))}>
          {GRACES.map(([ms, title]) => (
            <option key={ms} value={ms}>
              {title}
            </option>
          ))}
        </select>
      </Field>
      <p className={styles.text}>
        {graceMs === 0 ? (
          "Sessions that it opened in the console end at once."
        ) : (
          <>
            Sessions that it opened in the console go on, for 12 hours at most. To end one sooner:{" "}
            <code>routeplane cloud sessions revoke</code>
          </>
        )}
      </p>
      {error !== undefined && (
        <ChangeError
          error={error}
          what="The key has its old token."
          uncertain="It is not certain that the key has a new token. Rotating it again gives another."
        />
      )}
      <DialogActions>
        <Button onClick={onClose} disabled={isBusy}>
          Cancel
        </Button>
        <Button kind="primary" isBusy={isBusy} onClick={() => void rotate()}>
          Rotate
        </Button>
      </DialogActions>
    </Dialog>
  );
}
