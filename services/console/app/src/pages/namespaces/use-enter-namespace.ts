import { useState } from "react";
import { SessionError, switchNamespace } from "../../session/session.ts";

interface EnterNamespace {
  /** Id of the namespace that is being entered. */
  readonly entering: string | undefined;
  readonly error: string | undefined;
  readonly enter: (namespaceId: string) => void;
}

/** Exchanges the session for one in a namespace. The page is reloaded, so that no data read as an operator is kept. */
export function useEnterNamespace(): EnterNamespace {
  const [entering, setEntering] = useState<string>();
  const [error, setError] = useState<string>();
  const enter = async (namespaceId: string): Promise<void> => {
    setEntering(namespaceId);
    setError(undefined);
    try {
      await switchNamespace(namespaceId);
      location.assign("/");
    } catch (failure) {
      setError(failure instanceof SessionError ? failure.message : "The namespace cannot be entered.");
      setEntering(undefined);
    }
  };
  return { entering, error, enter: (namespaceId) => void enter(namespaceId) };
}
