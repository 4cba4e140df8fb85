import { KeyService } from "@routeplane/contracts/auth";
import { type FormEvent, useState } from "react";
import { Button } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { Field } from "../../components/field.tsx";
import { Notice } from "../../components/notice.tsx";
import { useTimeZone } from "../../format/use-time-zone.ts";
import type { FieldErrors } from "../../rpc/field-errors.ts";
import { useCaller } from "../../rpc/use-caller.ts";
import { useRefresh } from "../../rpc/use-refresh.ts";
import { useSecretCall } from "../../rpc/use-secret-call.ts";
import { useSession } from "../../session/use-session.ts";
import { ExpiryFields } from "./expiry-fields.tsx";
import { errorAt, formErrorsOf } from "../../rpc/form-errors.ts";
import { EMPTY_MINT, MINT_FIELDS, type MintForm, mintRequestOf } from "./mint-form.ts";
import styles from "./key-form.module.css";
import { LimitFields } from "./limit-fields.tsx";
import { mintScopeOptions } from "./scope-choice.ts";
import { ScopeCheckboxes } from "./scope-checkboxes.tsx";
import { type KeyToken, TokenDialog } from "./token-dialog.tsx";
import { useInvalidFocus } from "../../components/use-invalid-focus.ts";
import { nodeNow } from "../../format/node-clock.ts";

const NO_ERRORS: FieldErrors = new Map();

/** Mints a key below that of the session, and shows its token once. */
export function MintDialog({ onClose }: { readonly onClose: () => void }) {
  const [minted, setMinted] = useState<KeyToken>();
  if (minted === undefined) return <MintFormDialog onMinted={setMinted} onClose={onClose} />;
  return <TokenDialog title="Save the token" keyToken={minted} onClose={onClose} />;
}

interface MintFormDialogProps {
  readonly onMinted: (minted: KeyToken) => void;
  readonly onClose: () => void;
}

function MintFormDialog({ onMinted, onClose }: MintFormDialogProps) {
  const { scopes } = useSession();
  const [timeZone] = useTimeZone();
  const refresh = useRefresh();
  const options = mintScopeOptions(scopes);
  const [form, setForm] = useState<MintForm>(() => ({
    ...EMPTY_MINT,
    scopes: options.flatMap(({ scope, isHeld }) => (isHeld && scope === "inference:invoke" ? [scope] : [])),
  }));
  const [faults, setFaults] = useState<FieldErrors>(NO_ERRORS);
  const { call, error, isBusy } = useSecretCall(KeyService.method.mintKey);
  const errors = faults.size > 0 ? faults : formErrorsOf(error);
  const element = useInvalidFocus(faults.size > 0 ? faults : error);
  const change = (part: Partial<MintForm>): void => setForm((current) => ({ ...current, ...part }));

  const submit = async (): Promise<void> => {
    const read = mintRequestOf(form, nodeNow(), timeZone);
    setFaults("faults" in read ? read.faults : NO_ERRORS);
    if ("faults" in read) return;
    const response = await call(read.request);
    void refresh();
    if (response?.key !== undefined) onMinted({ key: response.key, token: response.token });
  };
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    void submit();
  };

  return (
    <Dialog title="Mint a key" onClose={isBusy ? () => undefined : onClose}>
      <form ref={element} className={styles.form} onSubmit={onSubmit} noValidate>
        <ParentNotice />
        <Field label="Name" hint="For people; it need not be unique." error={errorAt(errors, MINT_FIELDS.name)}>
          <input
            value={form.name}
            maxLength={100}
            autoComplete="off"
            onChange={({ target }) => change({ name: target.value })}
          />
        </Field>
        <ScopeCheckboxes
          options={options}
          chosen={form.scopes}
          onChange={(chosen) => change({ scopes: chosen })}
          hint="Only scopes that your session holds. None can be added later."
          error={errorAt(errors, MINT_FIELDS.scopes)}
        />
        <ExpiryFields
          value={form.expiry}
          onChange={(expiry) => change({ expiry })}
          none="With the key above it"
          hint="Not later than the expiry of the keys above it."
          error={errorAt(errors, MINT_FIELDS.expiry)}
        />
        <LimitFields form={form} onChange={change} errors={errors} />
        {error !== undefined && errors.size === 0 && (
          <ChangeError
            error={error}
            what="The key was not minted."
            uncertain="It is not certain that the key was minted: look at the list of keys, and revoke it there."
          />
        )}
        <DialogActions>
          <Button onClick={onClose} disabled={isBusy}>
            Cancel
          </Button>
          <Button type="submit" kind="primary" isBusy={isBusy}>
            Mint
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

/** Notice that names the parent of the new key, which is always the session's key. */
function ParentNotice() {
  const caller = useCaller();
  return (
    <Notice kind="info">
      The new key is below{" "}
      {caller === undefined ? (
        "the key of your session"
      ) : (
        <>
          <strong>
            <bdi>{caller.name}</bdi>
          </strong>
          , the key of your session
        </>
      )}
      : all limits on that hold for it too, and it ends with it.
    </Notice>
  );
}
