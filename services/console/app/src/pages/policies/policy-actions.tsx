import { useMutation } from "@connectrpc/connect-query";
import { type Policy, PolicyService } from "@routeplane/contracts/policy";
import { useState } from "react";
import { useLocation } from "wouter";
import { Button, ButtonLink } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { useRefresh, useRefreshLater } from "../../rpc/use-refresh.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { readSpec } from "./spec.ts";

/** Buttons that edit, disable or enable, and delete a policy. Absent without the scope `policy:write`. */
export function PolicyActions({ policy }: { readonly policy: Policy }) {
  const [asked, setAsked] = useState<"disable" | "delete">();
  const refresh = useRefresh();
  const enable = useMutation(PolicyService.method.enablePolicy, { onSuccess: refresh });
  if (!holdsScope(useSession(), "policy:write")) return null;
  const isDisabled = policy.disabledAt !== undefined;
  return (
    <>
      {readSpec(policy.spec) !== undefined && (
        <ButtonLink href={`/policies/${policy.id}?edit=1`} kind="primary">
          Edit
        </ButtonLink>
      )}
      {isDisabled ? (
        <Button isBusy={enable.isPending} onClick={() => enable.mutate({ id: policy.id })}>
          Enable
        </Button>
      ) : (
        <Button onClick={() => setAsked("disable")}>Disable</Button>
      )}
      <Button kind="danger" onClick={() => setAsked("delete")}>
        Delete
      </Button>
      {enable.error !== null && <ChangeError error={enable.error} what="The policy was not enabled." />}
      {asked === "disable" && <DisableDialog policy={policy} onClose={() => setAsked(undefined)} />}
      {asked === "delete" && <DeleteDialog policy={policy} onClose={() => setAsked(undefined)} />}
    </>
  );
}

interface PolicyDialogProps {
  readonly policy: Policy;
  readonly onClose: () => void;
}

function DisableDialog({ policy, onClose }: PolicyDialogProps) {
  const refresh = useRefresh();
  const disable = useMutation(PolicyService.method.disablePolicy, {
    onSuccess: async () => {
      onClose();
      await refresh();
    },
  });
  return (
    <Dialog title={<NamedTitle verb="Disable" policy={policy} />} onClose={onClose}>
      <p>It limits nothing until it is enabled again. Its bindings and their counters stay.</p>
      {disable.error !== null && <ChangeError error={disable.error} what="The policy was not disabled." />}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="danger" isBusy={disable.isPending} onClick={() => disable.mutate({ id: policy.id })}>
          Disable
        </Button>
      </DialogActions>
    </Dialog>
  );
}

function DeleteDialog({ policy, onClose }: PolicyDialogProps) {
  const [, navigate] = useLocation();
  const refreshLater = useRefreshLater();
  const remove = useMutation(PolicyService.method.deletePolicy, {
    onSuccess: () => {
      navigate("/policies");
      void refreshLater();
    },
  });
  const { bindingCount } = policy;
  return (
    <Dialog title={<NamedTitle verb="Delete" policy={policy} />} onClose={onClose}>
      <p>
        {bindingCount === 0
          ? "The policy has no bindings. This cannot be undone."
          : `It is removed from ${bindingCount} ${bindingCount === 1 ? "principal" : "principals"}, and its counters there are deleted. This cannot be undone.`}
      </p>
      {remove.error !== null && <ChangeError error={remove.error} what="The policy was not deleted." />}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button
          kind="danger"
          isBusy={remove.isPending}
          onClick={() => remove.mutate({ id: policy.id, unbind: bindingCount > 0 })}
        >
          Delete
        </Button>
      </DialogActions>
    </Dialog>
  );
}

/** Question about a policy. Its name has its own writing direction. */
function NamedTitle({ verb, policy }: { readonly verb: string; readonly policy: Policy }) {
  return (
    <>
      {verb} <bdi>{policy.name}</bdi>?
    </>
  );
}
