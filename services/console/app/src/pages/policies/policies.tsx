import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { PolicyList } from "./policy-list.tsx";
import { PolicyPage } from "./policy-page.tsx";

interface PoliciesProps {
  /** Of the address: absent for the list, else the id of a policy. */
  readonly params: { readonly id?: string };
}

/** Policies: what applies to whom, and what a change would do. */
export default function Policies({ params: { id } }: PoliciesProps) {
  if (id === undefined) {
    return (
      <Page title="Policies">
        <NeedsScope scope="policy:read">
          <Section title="All policies">
            <PolicyList />
          </Section>
        </NeedsScope>
      </Page>
    );
  }
  return <PolicyPage key={id} id={id} />;
}
