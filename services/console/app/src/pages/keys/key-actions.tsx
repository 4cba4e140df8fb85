import { useState } from "react";
import { Button } from "../../components/button.tsx";
import { useCaller } from "../../rpc/use-caller.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { keyAuthority } from "./key-authority.ts";
import { isRefused, type KeyBranch } from "./key-tree.ts";
import { RevokeDialog } from "./revoke-dialog.tsx";
import { RotateDialog } from "./rotate-dialog.tsx";
import { UpdateDialog } from "./update-dialog.tsx";
import type { KeyTreeQuery } from "./use-key-tree.ts";

interface KeyActionsProps {
  readonly branch: KeyBranch;
  readonly query: KeyTreeQuery;
}

/** Buttons for the changes of a key that the session may make. Others are not shown. */
export function KeyActions({ branch, query }: KeyActionsProps) {
  const mayWrite = holdsScope(useSession(), "keys:write");
  const { mayRevoke, mayChange, mayRotate } = keyAuthority(useCaller(), branch);
  const [open, setOpen] = useState<"rotate" | "update" | "revoke">();
  const close = (): void => setOpen(undefined);
  const { key, state } = branch;
  if (!mayWrite || state.kind === "revoked") return null;
  const isActive = !isRefused(state);
  return (
    <>
      {mayRotate && isActive && <Button onClick={() => setOpen("rotate")}>Rotate</Button>}
      {mayChange && isActive && <Button onClick={() => setOpen("update")}>Change</Button>}
      {mayRevoke && (
        <Button kind="danger" onClick={() => setOpen("revoke")}>
          Revoke
        </Button>
      )}
      {open === "rotate" && <RotateDialog target={key} onClose={close} />}
      {open === "update" && <UpdateDialog branch={branch} onClose={close} />}
      {open === "revoke" && <RevokeDialog branch={branch} query={query} onClose={close} />}
    </>
  );
}
