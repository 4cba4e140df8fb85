import { useSearchParams } from "wouter";
import { ButtonLink } from "../../components/button.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { NewPolicy } from "./editor/new-policy.tsx";
import { EditPolicy } from "./editor/edit-policy.tsx";
import { PolicyList } from "./policy-list.tsx";
import { PolicyPage } from "./policy-page.tsx";

interface PoliciesProps {
  /** Parameter of the address: absent for the list, `new` for the editor, otherwise the id of a policy. */
  readonly params: { readonly id?: string };
}

/** Policies page: the list, one policy, or the editor. */
export default function Policies({ params: { id } }: PoliciesProps) {
  const [parameters] = useSearchParams();
  const canWrite = holdsScope(useSession(), "policy:write");
  if (id === undefined) {
    return (
      <Page
        title="Policies"
        actions={
          canWrite && (
            <ButtonLink href="/policies/new" kind="primary">
              New policy
            </ButtonLink>
          )
        }
      >
        <NeedsScope scope="policy:read">
          <Section title="All policies">
            <PolicyList />
          </Section>
        </NeedsScope>
      </Page>
    );
  }
  if (id === "new") return <NewPolicy />;
  return parameters.has("edit") ? <EditPolicy key={id} id={id} /> : <PolicyPage key={id} id={id} />;
}
