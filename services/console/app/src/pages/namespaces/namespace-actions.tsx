import type { Namespace } from "@routeplane/contracts/auth";
import { useState } from "react";
import { Button } from "../../components/button.tsx";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { NamespaceChangeDialog } from "./namespace-change-dialog.tsx";
import { changesFrom, NAMESPACE_CHANGES, type NamespaceChangeName } from "./namespace-changes.ts";
import { NamespaceFormDialog } from "./namespace-form-dialog.tsx";
import { namespaceStateOf } from "./namespace-state.ts";
import type { useEnterNamespace } from "./use-enter-namespace.ts";

interface NamespaceActionsProps {
  readonly namespace: Namespace;
  readonly entry: ReturnType<typeof useEnterNamespace>;
}

/** Actions on a namespace, as its state and the operator's scopes allow. */
export function NamespaceActions({ namespace, entry: { entering, enter } }: NamespaceActionsProps) {
  const session = useSession();
  const [open, setOpen] = useState<NamespaceChangeName | "rename">();
  const state = namespaceStateOf(namespace);
  const close = (): void => setOpen(undefined);
  const { id, name } = namespace;
  return (
    <>
      {state === "active" && holdsScope(session, "keys:write") && (
        <Button
          aria-label={`Enter ${name}`}
          isBusy={entering === id}
          disabled={entering !== undefined}
          onClick={() => enter(id)}
        >
          Enter
        </Button>
      )}
      {holdsScope(session, "namespaces:write") && (
        <>
          {state !== "deleted" && (
            <Button kind="plain" aria-label={`Rename ${name}`} onClick={() => setOpen("rename")}>
              Rename
            </Button>
          )}
          {changesFrom(state).map((change) => (
            <Button
              key={change}
              kind="plain"
              aria-label={`${NAMESPACE_CHANGES[change].title} ${name}`}
              onClick={() => setOpen(change)}
            >
              {NAMESPACE_CHANGES[change].title}
            </Button>
          ))}
        </>
      )}
      {open === "rename" && <NamespaceFormDialog renamed={namespace} onClose={close} />}
      {open !== undefined && open !== "rename" && (
        <NamespaceChangeDialog namespace={namespace} change={open} onClose={close} />
      )}
    </>
  );
}
