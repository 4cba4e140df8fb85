import { useState } from "react";
import { Button } from "../../components/button.tsx";
import { Field } from "../../components/field.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { RangePicker } from "../../components/range-picker.tsx";
import { Section } from "../../components/section.tsx";
import { measureNameOf, MEASURES } from "../../format/measures.ts";
import { type RangeFilters, timeRangeOf } from "../../format/time-range.ts";
import { useFilters } from "../../format/use-filters.ts";
import { useNow } from "../../format/use-now.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { NamespaceFormDialog } from "./namespace-form-dialog.tsx";
import { NamespaceList } from "./namespace-list.tsx";
import styles from "./namespaces.module.css";
import { NodeUsage } from "./node-usage.tsx";
import { useNamespaces } from "./use-namespaces.ts";

type Filters = RangeFilters & Readonly<Record<"q" | "deleted" | "show", string>>;

/** Namespaces page, for an operator: spend and state of each namespace, and a button to enter it. */
export default function Namespaces() {
  const session = useSession();
  const [filters, change] = useFilters(["q", "deleted", "range", "from", "to", "show"]);
  const [isCreating, setCreating] = useState(false);
  return (
    <Page
      title="Namespaces"
      actions={
        <>
          {holdsScope(session, "usage:read") && <RangePicker filters={filters} onChange={change} byDefault="30d" />}
          {holdsScope(session, "namespaces:write") && (
            <Button kind="primary" onClick={() => setCreating(true)}>
              Create a namespace
            </Button>
          )}
        </>
      }
    >
      <NeedsScope scope="namespaces:read">
        <AllNamespaces filters={filters} onChange={change} />
      </NeedsScope>
      {isCreating && <NamespaceFormDialog onClose={() => setCreating(false)} />}
    </Page>
  );
}

interface AllNamespacesProps {
  readonly filters: Filters;
  readonly onChange: (change: Partial<Filters>) => void;
}

function AllNamespaces({ filters, onChange }: AllNamespacesProps) {
  const query = useNamespaces(filters.deleted !== "");
  const range = timeRangeOf(filters, useNow(), "30d");
  const names = new Map(query.data?.pages.flatMap(({ namespaces }) => namespaces.map(({ id, name }) => [id, name])));
  const measure = measureNameOf(filters.show);
  return (
    <>
      <Section title="All namespaces" actions={<ListFilters filters={filters} onChange={onChange} />}>
        <NamespaceList query={query} range={range} text={filters.q} />
      </Section>
      {holdsScope(useSession(), "usage:read") && (
        <Section
          title="Usage of the node"
          actions={
            <Field label="Show">
              <select value={measure} onChange={({ target }) => onChange({ show: target.value })}>
                {Object.entries(MEASURES).map(([name, { title }]) => (
                  <option key={name} value={name}>
                    {title}
                  </option>
                ))}
              </select>
            </Field>
          }
        >
          <NodeUsage range={range} measure={measure} nameOf={(id) => names.get(id) ?? id} />
        </Section>
      )}
    </>
  );
}

function ListFilters({ filters, onChange }: AllNamespacesProps) {
  return (
    <div className={styles.filters}>
      <Field label="Search">
        <input
          type="search"
          value={filters.q}
          placeholder="Name or id"
          maxLength={100}
          onChange={({ target }) => onChange({ q: target.value })}
        />
      </Field>
      <Field label="State">
        <select value={filters.deleted} onChange={({ target }) => onChange({ deleted: target.value })}>
          <option value="">Not deleted</option>
          <option value="1">All</option>
        </select>
      </Field>
    </div>
  );
}
