import { createContext, useContext } from "react";
import type { Session } from "./session.ts";

export const SessionContext = createContext<Session | undefined>(undefined);

/** Session of this browser. To be used only below `SessionProvider`, which shows the sign-in page if there is no session. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === undefined) throw new Error("useSession is called outside of SessionProvider");
  return session;
}

/** True if the session holds a scope: `resource:action`, or `resource:*` which contains it. */
export function holdsScope({ scopes }: Pick<Session, "scopes">, scope: string): boolean {
  return scopes.includes(scope) || scopes.includes(`${scope.slice(0, scope.indexOf(":"))}:*`);
}
