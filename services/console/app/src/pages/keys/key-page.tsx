import { PrincipalType } from "@routeplane/contracts/policy";
import { Link } from "wouter";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Field } from "../../components/field.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { RangePicker } from "../../components/range-picker.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { MEASURES } from "../../format/measures.ts";
import { useFilters } from "../../format/use-filters.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { EffectivePreview } from "../policies/preview/effective-preview.tsx";
import { KeyActions } from "./key-actions.tsx";
import { KeyDetails } from "./key-details.tsx";
import { KeyLineage } from "./key-lineage.tsx";
import { KeyUsage } from "./key-usage.tsx";
import { SubKeys } from "./sub-keys.tsx";
import { useAllKeys, useKeyTree } from "./use-key-tree.ts";

/** Page of one key. */
export function KeyPage({ id }: { readonly id: string }) {
  const session = useSession();
  if (holdsScope(session, "keys:read")) return <KeyOfTree id={id} />;
  return (
    <Page title="Key">
      <NeedsScope scope="keys:read">{null}</NeedsScope>
    </Page>
  );
}

function KeyOfTree({ id }: { readonly id: string }) {
  const query = useKeyTree();
  const { tree, error, hasMore, moreError, readMore, retry } = query;
  const session = useSession();
  const mayReadUsage = holdsScope(session, "usage:read");
  const [filters, change] = useFilters(["range", "from", "to", "show"]);
  const branch = tree?.branches.get(id);
  const isToBeFound = branch === undefined && hasMore;
  useAllKeys(query, isToBeFound);

  if (branch === undefined) {
    return (
      <Page title="Key">
        {error !== null && <ErrorNotice error={error} what="The key cannot be read." onRetry={retry} />}
        {moreError !== null && isToBeFound && (
          <ErrorNotice error={moreError} what="The key cannot be read." onRetry={readMore} />
        )}
        {error === null && moreError === null && (tree === undefined || isToBeFound) && <Skeleton lines={6} />}
        {tree !== undefined && !isToBeFound && (
          <EmptyState title="This namespace has no such key.">
            <Link href="/keys">Go to all keys</Link>
          </EmptyState>
        )}
      </Page>
    );
  }
  return (
    <Page
      title={branch.key.name}
      actions={mayReadUsage && <RangePicker filters={filters} onChange={change} byDefault="30d" />}
    >
      <KeyLineage lineage={branch.lineage} />
      <Section title="Details" actions={<KeyActions branch={branch} query={query} />}>
        <KeyDetails branch={branch} />
      </Section>
      {holdsScope(session, "policy:read") && (
        <Section title="Effective policy">
          <EffectivePreview
            principal={{ principalType: PrincipalType.API_KEY, principalId: id }}
            spec={undefined}
            policyId={undefined}
          />
        </Section>
      )}
      {mayReadUsage && (
        <Section
          title="Usage"
          actions={
            <Field label="Show">
              <select value={filters.show} onChange={({ target }) => change({ show: target.value })}>
                {Object.entries(MEASURES).map(([name, { title }]) => (
                  <option key={name} value={name === "spend" ? "" : name}>
                    {title}
                  </option>
                ))}
              </select>
            </Field>
          }
        >
          <KeyUsage keyId={id} filters={filters} />
        </Section>
      )}
      <Section title="Keys below">
        <SubKeys branch={branch} />
      </Section>
    </Page>
  );
}
