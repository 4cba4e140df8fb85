import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useCallback, useEffect, useState } from "react";
import { Notice } from "../components/notice.tsx";
import { Skeleton } from "../components/skeleton.tsx";
import { setPageNamespace } from "../rpc/transport.ts";
import { LeaveNamespace } from "./leave-namespace.tsx";
import { readSession, type Session, SessionError } from "./session.ts";
import { onSessionEnd } from "./session-end.ts";
import { SignIn } from "./sign-in.tsx";
import { SignInAgain } from "./sign-in-again.tsx";
import styles from "./sign-in.module.css";
import { SessionContext } from "./use-session.ts";

/** Interval at which the session is checked, so that a revoked one is signed out within 5 seconds. Milliseconds. */
const HEARTBEAT_MS = 3_000;

type State =
  | { readonly at: "loading" }
  | { readonly at: "unreachable"; readonly notice: string }
  | { readonly at: "signed-out"; readonly notice?: string }
  | { readonly at: "signed-in"; readonly session: Session }
  /** The namespace is suspended or deleted, and the session can be exchanged for another namespace. */
  | { readonly at: "outside"; readonly session: Session; readonly name: string | undefined }
  /** A service refused the session of the page; none of its data is shown any more. */
  | { readonly at: "refused"; readonly former: Session };

interface SessionProviderProps {
  /** Sign-in code of the address that was opened. */
  readonly signInCode: string | undefined;
  /** Called with each new session, before any of its data is shown. */
  readonly onSession: (session: Session) => void;
  readonly children: ReactNode;
}

/** Shows its children to a signed-in person only. When the session ends, all data that was read with it is dropped. */
export function SessionProvider({ signInCode, onSession, children }: SessionProviderProps) {
  const queries = useQueryClient();
  const [code, setCode] = useState(signInCode);
  const [state, setState] = useState<State>({ at: "loading" });

  const enter = useCallback(
    (session: Session, former?: Session): void => {
      if (session.namespaceState !== "active") {
        setState((current) => ({ at: "outside", session, name: former?.namespaceName ?? nameOf(current) }));
        return;
      }
      setPageNamespace(session.namespaceId);
      onSession(session);
      setState({ at: "signed-in", session });
    },
    [onSession],
  );

  const load = useCallback(
    async (former?: Session): Promise<void> => {
      try {
        const session = await readSession();
        if (session === undefined) {
          setState({ at: "signed-out", ...(former && { notice: "Your session has ended. Sign in again." }) });
        } else if (former !== undefined && !isSameNamespace(session, former)) {
          location.assign("/");
        } else {
          enter(session, former);
        }
      } catch (error) {
        setState({
          at: "unreachable",
          notice: error instanceof SessionError ? error.message : "The session cannot be read.",
        });
      }
    },
    [enter],
  );

  const end = useCallback(() => {
    queries.clear();
    setState((current) => (current.at === "signed-in" ? { at: "refused", former: current.session } : current));
  }, [queries]);

  useEffect(() => void load(), [load]);
  useEffect(() => onSessionEnd(end), [end]);
  useEffect(() => {
    if (state.at !== "unreachable" && state.at !== "outside") return;
    const timer = setTimeout(() => void load(), HEARTBEAT_MS);
    return () => clearTimeout(timer);
  }, [state, load]);
  // The refused session may be one that another tab has just replaced.
  useEffect(() => {
    if (state.at === "refused") void load(state.former);
  }, [state, load]);
  const signedIn = state.at === "signed-in" ? state.session : undefined;
  useEffect(() => {
    if (signedIn === undefined) return;
    const stop = new AbortController();
    let isLooking = false;
    const look = async (): Promise<void> => {
      // A browser has few connections to a slow console: the calls of the page need them.
      if (isLooking) return;
      isLooking = true;
      try {
        const session = await readSession(stop.signal);
        if (session === undefined || session.namespaceState !== "active") end();
        // Another tab switched the namespace, and with it the cookie of all tabs: no data of the former namespace is kept.
        else if (!isSameNamespace(session, signedIn)) location.assign("/");
        // E.g. scopes were removed from its key.
        else if (JSON.stringify(session) !== JSON.stringify(signedIn))
          setState((current) => (current.at === "signed-in" ? { at: "signed-in", session } : current));
      } catch {
        // The console or the auth service does not answer. The page stays; its sections show what they cannot read.
      } finally {
        isLooking = false;
      }
    };
    const timer = setInterval(() => {
      void look();
    }, HEARTBEAT_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [signedIn, end]);

  if (state.at === "loading" || state.at === "refused") return <Skeleton lines={3} />;
  if (state.at === "unreachable") return <Unreachable notice={state.notice} />;
  const forgetCode = (): void => setCode(undefined);
  if (state.at === "signed-out") {
    return <SignIn notice={state.notice} code={code} onCodeUsed={forgetCode} onSignedIn={enter} />;
  }
  if (code === undefined && state.at === "outside") return <LeaveNamespace session={state.session} name={state.name} />;
  if (code !== undefined) return <SignInAgain session={state.session} code={code} onKeep={forgetCode} />;
  return <SessionContext value={state.session}>{children}</SessionContext>;
}

function nameOf(state: State): string | undefined {
  return state.at === "outside" ? state.name : undefined;
}

function isSameNamespace(session: Session, other: Session): boolean {
  return session.kind === other.kind && session.namespaceId === other.namespaceId;
}

/** Notice while it is not known whether this browser is signed in. */
function Unreachable({ notice }: { readonly notice: string }) {
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <h1>Routeplane</h1>
        <Notice kind="error">{notice}</Notice>
        <p className={styles.hint}>This page tries again automatically.</p>
      </div>
    </main>
  );
}
