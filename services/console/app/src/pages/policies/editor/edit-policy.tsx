import { useQuery } from "@connectrpc/connect-query";
import { BindingMode, type Policy, PolicyService, PrincipalType } from "@routeplane/contracts/policy";
import { useState } from "react";
import { Link } from "wouter";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { NeedsScope } from "../../../components/needs-scope.tsx";
import { Notice } from "../../../components/notice.tsx";
import { Page } from "../../../components/page.tsx";
import type { ChosenPrincipal } from "../../../components/principal-select.tsx";
import { Skeleton } from "../../../components/skeleton.tsx";
import { holdsScope, useSession } from "../../../session/use-session.ts";
import { readSpec } from "../spec.ts";
import { draftOf } from "./draft.ts";
import { PolicyEditor } from "./policy-editor.tsx";

/** Editor of an existing policy. */
export function EditPolicy({ id }: { readonly id: string }) {
  const session = useSession();
  const enabled = holdsScope(session, "policy:read");
  const { data, error, refetch } = useQuery(PolicyService.method.getPolicy, { id }, { enabled });
  const policy = data?.policy;
  return (
    <Page title={policy === undefined ? "Edit a policy" : `Edit ${policy.name}`}>
      <Link href={`/policies/${id}`}>Back to the policy</Link>
      <NeedsScope scope="policy:read">
        <NeedsScope scope="policy:write">
          {error !== null && <ErrorNotice error={error} what="The policy cannot be read." onRetry={refetch} />}
          {error === null && policy === undefined && <Skeleton lines={6} />}
          {policy !== undefined && <Editor read={policy} namespaceId={session.namespaceId} />}
        </NeedsScope>
      </NeedsScope>
    </Page>
  );
}

function Editor({ read, namespaceId }: { readonly read: Policy; readonly namespaceId: string }) {
  // The policy as it was when the editor opened: if it changes meanwhile, the typed text stays, and saving fails by the etag.
  const [policy] = useState(read);
  const spec = readSpec(policy.spec);
  if (spec === undefined) {
    return <Notice kind="warn">This policy has rules that this version of the console does not know.</Notice>;
  }
  const bound = policy.bindings[0]?.binding;
  const principal: ChosenPrincipal =
    bound?.principalType === PrincipalType.API_KEY
      ? { principalType: PrincipalType.API_KEY, principalId: bound.principalId }
      : { principalType: PrincipalType.NAMESPACE, principalId: namespaceId };
  return (
    <PolicyEditor
      policy={policy}
      initial={draftOf(policy.name, spec)}
      initialBinding={{ isBound: false, principal, mode: BindingMode.SHADOW }}
    />
  );
}
