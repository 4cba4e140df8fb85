import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { useTransport } from "@connectrpc/connect-query";
import { type Binding, BindingMode, PolicyService } from "@routeplane/contracts/policy";
import { useMutation } from "@tanstack/react-query";
import { Button } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { PrincipalLink } from "../../components/principal-link.tsx";
import { useRefresh } from "../../rpc/use-refresh.ts";

/** Asks before a binding in shadow mode is replaced by an enforced one. */
export function EnforceDialog({ binding, onClose }: { readonly binding: Binding; readonly onClose: () => void }) {
  const transport = useTransport();
  const refresh = useRefresh();
  const enforce = useMutation({
    mutationFn: () => enforceBinding(createClient(PolicyService, transport), binding),
    onSuccess: onClose,
    // Also after a failure, because the binding in shadow mode may have been removed.
    onSettled: refresh,
  });
  return (
    <Dialog title="Enforce the policy here?" onClose={onClose}>
      <p>
        Requests of <PrincipalLink {...binding} /> that break it are refused, from the next one on. The counters of
        shadow mode are deleted: an enforced limit starts at zero.
      </p>
      {enforce.error !== null && <ChangeError error={enforce.error} what="The policy is not enforced." />}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" isBusy={enforce.isPending} onClick={() => enforce.mutate()}>
          Enforce
        </Button>
      </DialogActions>
    </Dialog>
  );
}

/**
 * Replaces a binding in shadow mode by an enforced one. The service does so in one step if a key below the caller created the binding;
 * otherwise it is unbound first. That allows no further requests, because a shadow binding refuses none.
 */
async function enforceBinding(policies: Client<typeof PolicyService>, binding: Binding): Promise<void> {
  const { id: bindingId, policyId, principalType, principalId } = binding;
  const enforced = { policyId, principalType, principalId, mode: BindingMode.ENFORCE };
  try {
    await policies.bindPolicy(enforced);
  } catch (error) {
    if (ConnectError.from(error).code !== Code.AlreadyExists) throw error;
    await policies.unbindPolicy({ policyId, bindingId });
    await policies.bindPolicy(enforced);
  }
}
