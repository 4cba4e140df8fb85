import { useState } from "react";
import { SessionError, switchNamespace } from "../session/session.ts";
import { useSession } from "../session/use-session.ts";
import { Button } from "./button.tsx";
import styles from "./namespace-switch.module.css";
import { Notice } from "./notice.tsx";

/** Name of the session's namespace. It leads an operator back to the list of namespaces, to enter another one. */
export function NamespaceSwitch() {
  const { kind, namespaceName, canSwitch } = useSession();
  const [error, setError] = useState<string>();
  const leave = async (): Promise<void> => {
    try {
      await switchNamespace(undefined);
      location.assign("/namespaces");
    } catch (failure) {
      setError(failure instanceof SessionError ? failure.message : "The namespace cannot be left.");
    }
  };
  return (
    <div className={styles.switch}>
      <small>{kind === "operator" ? "All namespaces" : "Namespace"}</small>
      {kind === "namespace" && <strong>{namespaceName}</strong>}
      {kind === "namespace" && canSwitch && <Button onClick={() => void leave()}>All namespaces</Button>}
      {error !== undefined && <Notice kind="error">{error}</Notice>}
    </div>
  );
}
