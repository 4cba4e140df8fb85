import { BindingMode, PrincipalType } from "@routeplane/contracts/policy";
import { POLICY_KINDS } from "@routeplane/policy-spec";
import { Link } from "wouter";
import { NeedsScope } from "../../../components/needs-scope.tsx";
import { Page } from "../../../components/page.tsx";
import { useFilters } from "../../../format/use-filters.ts";
import { useSession } from "../../../session/use-session.ts";
import { newDraft } from "./draft.ts";
import { PolicyEditor } from "./policy-editor.tsx";

/** Editor of a new policy. The address can give its kind, and the key that it is bound to. */
export function NewPolicy() {
  const { namespaceId } = useSession();
  const [{ kind, key }, change] = useFilters(["kind", "key"]);
  const principal =
    key === ""
      ? ({ principalType: PrincipalType.NAMESPACE, principalId: namespaceId } as const)
      : ({ principalType: PrincipalType.API_KEY, principalId: key } as const);
  return (
    <Page title="New policy">
      <Link href="/policies">All policies</Link>
      <NeedsScope scope="policy:write">
        <PolicyEditor
          initial={newDraft(POLICY_KINDS.find((known) => known === kind) ?? "budget")}
          initialBinding={{ isBound: true, principal, mode: BindingMode.SHADOW }}
          onKind={(kind) => change({ kind })}
        />
      </NeedsScope>
    </Page>
  );
}
