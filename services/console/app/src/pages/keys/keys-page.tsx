import { Button } from "../../components/button.tsx";
import { Field } from "../../components/field.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { RangePicker } from "../../components/range-picker.tsx";
import { Section } from "../../components/section.tsx";
import { useFilters } from "../../format/use-filters.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { KeyList, type KeyListFilters } from "./key-list.tsx";
import { ORDERS } from "./key-order.ts";
import styles from "./keys-page.module.css";
import { MintDialog } from "./mint-dialog.tsx";
import { useKeyTree } from "./use-key-tree.ts";

const STATES = {
  "": "Not revoked or expired",
  expiring: "Expires within 7 days",
  expired: "Expired",
  revoked: "Revoked",
  all: "All",
} as const;

interface FilterProps {
  readonly filters: KeyListFilters;
  readonly onChange: (change: Partial<KeyListFilters>) => void;
}

/** Page of all keys of the namespace: tree, state, last use and spend, and a button to mint a key. */
export function KeysPage() {
  const session = useSession();
  const [filters, change] = useFilters(["q", "state", "order", "range", "from", "to", "mint"]);
  const mayMint = holdsScope(session, "keys:write");
  return (
    <Page
      title="Keys"
      actions={
        <>
          {holdsScope(session, "usage:read") && <RangePicker filters={filters} onChange={change} byDefault="30d" />}
          {mayMint && (
            <Button kind="primary" onClick={() => change({ mint: "1" })}>
              Mint a key
            </Button>
          )}
        </>
      }
    >
      <NeedsScope scope="keys:read">
        <Section title="All keys" actions={<Filters filters={filters} onChange={change} />}>
          <AllKeys filters={filters} onChange={change} />
        </Section>
      </NeedsScope>
      {mayMint && filters.mint !== "" && <MintDialog onClose={() => change({ mint: "" })} />}
    </Page>
  );
}

function AllKeys({ filters, onChange }: FilterProps) {
  return <KeyList query={useKeyTree()} filters={filters} onChange={onChange} />;
}

function Filters({ filters, onChange }: FilterProps) {
  return (
    <div className={styles.filters}>
      <Field label="Search">
        <input
          type="search"
          value={filters.q}
          placeholder="Name, id or prefix"
          maxLength={100}
          onChange={({ target }) => onChange({ q: target.value })}
        />
      </Field>
      <Field label="State">
        <select value={filters.state} onChange={({ target }) => onChange({ state: target.value })}>
          {Object.entries(STATES).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </Field>
      <Field label="Order">
        <select value={filters.order} onChange={({ target }) => onChange({ order: target.value })}>
          <option value="">Tree</option>
          {Object.entries(ORDERS).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </Field>
    </div>
  );
}
