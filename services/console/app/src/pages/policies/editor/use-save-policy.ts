import { createClient } from "@connectrpc/connect";
import { useTransport } from "@connectrpc/connect-query";
import { type BindingMode, type Policy, PolicyService } from "@routeplane/contracts/policy";
import type { PolicySpec } from "@routeplane/policy-spec";
import { toProtoSpec } from "@routeplane/policy-spec/proto";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import type { ChosenPrincipal } from "../../../components/principal-select.tsx";
import { useRefreshLater } from "../../../rpc/use-refresh.ts";

interface SavedPolicy {
  readonly name: string;
  readonly spec: PolicySpec;
  readonly binding:
    | { readonly isBound: boolean; readonly principal: ChosenPrincipal; readonly mode: BindingMode }
    | undefined;
}

/**
 * Saves a policy, binds a new one if that was chosen, and opens its page. If a new policy was created but could not be bound, `created` is
 * the policy and `error` the reason.
 */
export function useSavePolicy(policy: Policy | undefined) {
  const transport = useTransport();
  const [, navigate] = useLocation();
  const refreshLater = useRefreshLater();
  const [created, setCreated] = useState<Policy>();
  const mutation = useMutation({
    mutationFn: async ({ name, spec, binding }: SavedPolicy): Promise<string> => {
      const policies = createClient(PolicyService, transport);
      if (policy !== undefined) {
        await policies.updatePolicy({ id: policy.id, name, spec: toProtoSpec(spec), etag: policy.etag });
        return policy.id;
      }
      const { policy: made } = await policies.createPolicy({ name, spec: toProtoSpec(spec) });
      if (made === undefined) throw new Error("the service answered without the policy");
      if (binding?.isBound === true) {
        const { principal, mode } = binding;
        await policies
          .bindPolicy({ policyId: made.id, ...principal, mode, etag: made.etag })
          .catch((error: unknown) => {
            setCreated(made);
            throw error;
          });
      }
      return made.id;
    },
    onSuccess: (id) => {
      navigate(`/policies/${id}`);
      void refreshLater();
    },
  });
  return {
    save: mutation.mutate,
    created,
    error: mutation.error,
    isPending: mutation.isPending,
    reset: mutation.reset,
  };
}
