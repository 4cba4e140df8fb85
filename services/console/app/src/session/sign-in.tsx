import { type FormEvent, useEffect, useRef, useState } from "react";
import { Button } from "../components/button.tsx";
import { Field } from "../components/field.tsx";
import { Notice } from "../components/notice.tsx";
import { type Session, signIn } from "./session.ts";
import styles from "./sign-in.module.css";

interface SignInProps {
  /** Reason for which the person has to sign in again; undefined at the first sign-in. */
  readonly notice: string | undefined;
  /** Sign-in code of the address that was opened. */
  readonly code: string | undefined;
  /** Called before the code is sent, because it cannot be used again. */
  readonly onCodeUsed: () => void;
  readonly onSignedIn: (session: Session) => void;
}

/**
 * Signs a person in: at once by the sign-in code of the address, or by a pasted API key or operator token, which is removed from the field
 * before it is sent.
 */
export function SignIn({ notice, code, onCodeUsed, onSignedIn }: SignInProps) {
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const isCodeUsed = useRef(false);

  const submit = async (credential: Parameters<typeof signIn>[0]): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      onSignedIn(await signIn(credential));
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
    } finally {
      setBusy(false);
    }
  };

  useEffect(() => {
    if (code === undefined || isCodeUsed.current) return;
    isCodeUsed.current = true;
    onCodeUsed();
    void submit({ code });
  });

  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    const field = input.current;
    const token = field?.value.trim() ?? "";
    if (field === null || token === "") return setError("Paste an API key (rp_…) or an operator token (rpo_…).");
    field.value = "";
    void submit({ token });
  };

  return (
    <main className={styles.page}>
      <form className={styles.card} onSubmit={onSubmit}>
        <h1>Sign in to Routeplane</h1>
        {notice !== undefined && <Notice kind="info">{notice}</Notice>}
        {error !== undefined && <Notice kind="error">{error}</Notice>}
        <Field label="API key or operator token" hint="It is exchanged for a session of 12 hours and is not stored.">
          <input ref={input} type="password" autoComplete="off" spellCheck={false} maxLength={4096} disabled={isBusy} />
        </Field>
        <Button type="submit" kind="primary" isBusy={isBusy}>
          Sign in
        </Button>
        <p className={styles.hint}>
          On the machine of the node, <code>npx routeplane console</code> opens this page signed in.
        </p>
      </form>
    </main>
  );
}
