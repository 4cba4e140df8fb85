import { useMutation } from "@connectrpc/connect-query";
import { BindingMode, type Policy, PolicyService, PrincipalType } from "@routeplane/contracts/policy";
import { useState } from "react";
import { Button } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { type ChosenPrincipal, isWhole, PrincipalSelect } from "../../components/principal-select.tsx";
import { useRefresh } from "../../rpc/use-refresh.ts";
import { useSession } from "../../session/use-session.ts";
import { ModeChoice } from "./mode-choice.tsx";

/** Binds a policy to the namespace or to a key. */
export function BindDialog({ policy, onClose }: { readonly policy: Policy; readonly onClose: () => void }) {
  const { namespaceId } = useSession();
  const [principal, setPrincipal] = useState<ChosenPrincipal>({
    principalType: PrincipalType.NAMESPACE,
    principalId: namespaceId,
  });
  const [mode, setMode] = useState(BindingMode.SHADOW);
  const refresh = useRefresh();
  const bind = useMutation(PolicyService.method.bindPolicy, {
    onSuccess: async () => {
      onClose();
      await refresh();
    },
  });
  return (
    <Dialog
      title={
        <>
          Bind <bdi>{policy.name}</bdi>
        </>
      }
      onClose={onClose}
    >
      <PrincipalSelect label="Bind to" value={principal} onChange={setPrincipal} />
      <ModeChoice mode={mode} onChange={setMode} />
      <small>
        Running requests continue under the policies that they were admitted with. Each binding has its own counters.
      </small>
      {bind.error !== null && <ChangeError error={bind.error} what="The policy was not bound." />}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button
          kind="primary"
          disabled={!isWhole(principal)}
          isBusy={bind.isPending}
          onClick={() => bind.mutate({ policyId: policy.id, ...principal, mode, etag: policy.etag })}
        >
          Bind
        </Button>
      </DialogActions>
    </Dialog>
  );
}
