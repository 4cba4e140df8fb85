import { type ReactNode, useState } from "react";
import { Link, useLocation } from "wouter";
import { reportSessionEnd } from "../session/session-end.ts";
import { readSession, signOut } from "../session/session.ts";
import { useSession } from "../session/use-session.ts";
import { Button } from "./button.tsx";
import styles from "./layout.module.css";
import { NamespaceSwitch } from "./namespace-switch.tsx";
import { Notice } from "./notice.tsx";
import { Preferences } from "./preferences.tsx";
import { CONTENT_ID, useTopOfPage } from "./use-top-of-page.ts";

const NAMESPACE_PAGES = [
  ["/", "Overview"],
  ["/requests", "Requests"],
  ["/keys", "Keys"],
  ["/policies", "Policies"],
  ["/audit", "Audit"],
  ["/quick-start", "Quick start"],
] as const;
const OPERATOR_PAGES = [
  ["/namespaces", "Namespaces"],
  ["/audit", "Audit"],
] as const;

/** Frame of every page: navigation, and the namespace and name of the session. */
export function Layout({ children }: { readonly children: ReactNode }) {
  const session = useSession();
  const [location] = useLocation();
  const [isOpen, setOpen] = useState(false);
  useTopOfPage();
  const pages = session.kind === "operator" ? OPERATOR_PAGES : NAMESPACE_PAGES;
  const isCurrent = (path: string): boolean => (path === "/" ? location === "/" : location.startsWith(path));
  return (
    <div className={styles.layout}>
      <a className={styles.skip} href={`#${CONTENT_ID}`}>
        Skip to the content
      </a>
      <header className={styles.side}>
        <div className={styles.brand}>
          <Link href="/">Routeplane</Link>
          <Button
            kind="plain"
            className={styles.menu}
            aria-expanded={isOpen}
            aria-controls="menu"
            onClick={() => setOpen(!isOpen)}
          >
            Menu
          </Button>
        </div>
        <div id="menu" className={styles.drawer} data-open={isOpen}>
          <NamespaceSwitch />
          <nav aria-label="Pages">
            <ul>
              {pages.map(([path, title]) => (
                <li key={path}>
                  <Link href={path} aria-current={isCurrent(path) ? "page" : undefined} onClick={() => setOpen(false)}>
                    {title}
                  </Link>
                </li>
              ))}
            </ul>
          </nav>
          <div className={styles.who}>
            <Preferences />
            <small>Signed in by {session.name}</small>
            <SignOut />
          </div>
        </div>
      </header>
      <main id={CONTENT_ID} className={styles.content} tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

/** Button that signs out. If that failed and the browser still has its session, it says so. */
function SignOut() {
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const leave = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      await signOut();
      reportSessionEnd();
    } catch (failure) {
      // If auth does not answer, the console has removed the cookie nevertheless.
      const session = await readSession().catch(() => "unknown");
      if (session === undefined) return reportSessionEnd();
      setError(failure instanceof Error ? failure.message : String(failure));
      setBusy(false);
    }
  };
  return (
    <>
      <Button isBusy={isBusy} onClick={() => void leave()}>
        Sign out
      </Button>
      {error !== undefined && (
        <Notice kind="error">
          <strong>You are still signed in.</strong> {error}
        </Notice>
      )}
    </>
  );
}
