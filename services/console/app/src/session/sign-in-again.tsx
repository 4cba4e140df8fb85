import { useState } from "react";
import { Button } from "../components/button.tsx";
import { Notice } from "../components/notice.tsx";
import { type Session, signIn } from "./session.ts";
import styles from "./sign-in.module.css";

interface SignInAgainProps {
  readonly session: Session;
  /** Sign-in code of the address that was opened. */
  readonly code: string;
  /** Called when the person keeps the session. */
  readonly onKeep: () => void;
}

/**
 * Asks a person who is signed in whether to sign in by the address that was opened. The address may come from an attacker, who wants the
 * person to work in another namespace without noticing.
 */
export function SignInAgain({ session, code, onKeep }: SignInAgainProps) {
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const place =
    session.kind === "operator" ? "all namespaces" : `the namespace ${session.namespaceName || session.namespaceId}`;

  const replace = async (): Promise<void> => {
    setBusy(true);
    try {
      await signIn({ code });
      // No data that was read with the former session is kept.
      location.reload();
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
      setBusy(false);
    }
  };

  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <h1>You are signed in</h1>
        {error !== undefined && <Notice kind="error">{error}</Notice>}
        <p className={styles.hint}>
          This browser has a session by {session.name}, in {place}. The address that you opened signs in anew, which
          ends that session. Go on only if the address is your own.
        </p>
        <Button kind="primary" disabled={isBusy} onClick={onKeep}>
          Keep the session
        </Button>
        <Button isBusy={isBusy} onClick={() => void replace()}>
          Sign in again
        </Button>
      </div>
    </main>
  );
}
