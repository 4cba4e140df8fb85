import { useState } from "react";
import { Button } from "../components/button.tsx";
import { Notice } from "../components/notice.tsx";
import { type Session, signOut, switchNamespace } from "./session.ts";
import styles from "./sign-in.module.css";

interface LeaveNamespaceProps {
  readonly session: Session;
  /** Name of the namespace, if the page knows it. */
  readonly name: string | undefined;
}

/**
 * Notice for an operator that the namespace of the page was suspended or deleted, with a way to leave it. Shows no data of the namespace.
 */
export function LeaveNamespace({ session, name }: LeaveNamespaceProps) {
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const { namespaceId, namespaceState } = session;

  const leaveBy = async (call: () => Promise<void>): Promise<void> => {
    setBusy(true);
    try {
      await call();
      location.assign("/");
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
      setBusy(false);
    }
  };

  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <h1>
          The namespace <bdi>{name ?? namespaceId}</bdi> is {namespaceState}
        </h1>
        {error !== undefined && <Notice kind="error">{error}</Notice>}
        <p className={styles.hint}>
          {namespaceState === "suspended"
            ? "Its keys and its sessions are refused until it is resumed. This page goes on by itself then."
            : "Its keys and its sessions are refused for good."}
        </p>
        <Button kind="primary" isBusy={isBusy} onClick={() => void leaveBy(() => switchNamespace(undefined))}>
          All namespaces
        </Button>
        <Button disabled={isBusy} onClick={() => void leaveBy(signOut)}>
          Sign out
        </Button>
      </div>
    </main>
  );
}
