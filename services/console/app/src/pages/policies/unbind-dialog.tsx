import { useMutation } from "@connectrpc/connect-query";
import { type Binding, PolicyService } from "@routeplane/contracts/policy";
import { Button } from "../../components/button.tsx";
import { Dialog, DialogActions } from "../../components/dialog.tsx";
import { ChangeError } from "../../components/change-error.tsx";
import { PrincipalLink } from "../../components/principal-link.tsx";
import { useRefresh } from "../../rpc/use-refresh.ts";

/** Asks before a binding and its counters are removed. */
export function UnbindDialog({ binding, onClose }: { readonly binding: Binding; readonly onClose: () => void }) {
  const refresh = useRefresh();
  const unbind = useMutation(PolicyService.method.unbindPolicy, {
    onSuccess: async () => {
      onClose();
      await refresh();
    },
  });
  return (
    <Dialog title="Remove this binding?" onClose={onClose}>
      <p>
        The policy no longer limits <PrincipalLink {...binding} />, from the next request on, and its counters there are
        deleted: a new binding starts at zero.
      </p>
      {unbind.error !== null && <ChangeError error={unbind.error} what="The binding was not removed." />}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button
          kind="danger"
          isBusy={unbind.isPending}
          onClick={() => unbind.mutate({ policyId: binding.policyId, bindingId: binding.id })}
        >
          Unbind
        </Button>
      </DialogActions>
    </Dialog>
  );
}
