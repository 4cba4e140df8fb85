import type { ReactNode } from "react";
import { holdsScope, useSession } from "../session/use-session.ts";
import { Notice } from "./notice.tsx";

/** Shows its children to sessions that hold a scope, and to others the scope that the page needs. */
export function NeedsScope({ scope, children }: { readonly scope: string; readonly children: ReactNode }) {
  const session = useSession();
  if (holdsScope(session, scope)) return children;
  return (
    <Notice kind="warn">
      <strong>
        This needs the scope <code>{scope}</code>.
      </strong>{" "}
      Your session, opened by {session.name}, does not hold it. Sign in with a key that does.
    </Notice>
  );
}
