import type { Key } from "@routeplane/contracts/auth";
import { Badge } from "../../components/badge.tsx";
import { CopyableId } from "../../components/copyable-id.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { Time } from "../../components/time.tsx";
import { fromTimestamp } from "../../format/time.ts";
import { useKeys } from "../../rpc/use-key-names.ts";

/** Keys: the tree of keys, and mint, rotation and revocation. */
export default function Keys() {
  const keys = [...useKeys().values()];
  return (
    <Page title="Keys">
      <NeedsScope scope="keys:read">
        <Section title="All keys">
          {keys.length === 0 && <EmptyState title="No keys yet." />}
          <DataTable caption="Keys" columns={COLUMNS} rows={keys} keyOf={({ id }) => id} />
        </Section>
      </NeedsScope>
    </Page>
  );
}

const COLUMNS: readonly Column<Key>[] = [
  { title: "Name", cell: ({ name }) => name },
  { title: "Id", cell: ({ id }) => <CopyableId id={id} />, isOptional: true },
  {
    title: "State",
    cell: ({ revokedAt }) => <Badge kind={revokedAt ? "bad" : "good"}>{revokedAt ? "revoked" : "active"}</Badge>,
  },
  { title: "Last used", cell: ({ lastUsedAt }) => <Time date={fromTimestamp(lastUsedAt)} /> },
];
