import { useQuery } from "@connectrpc/connect-query";
import { UsageDimension, UsageService } from "@routeplane/contracts/usage";
import { useState } from "react";
import { Button } from "../../components/button.tsx";
import { CopyableId } from "../../components/copyable-id.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Money } from "../../components/money.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { Time } from "../../components/time.tsx";
import { countOf, formatCount } from "../../format/money.ts";
import { fromTimestamp } from "../../format/time.ts";
import { type RangeFilters, timeRangeOf, toProtoRange } from "../../format/time-range.ts";
import { useNow } from "../../format/use-now.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import styles from "./key-list.module.css";
import { KeyNameCell } from "./key-name-cell.tsx";
import { isOrderName, orderKeys } from "./key-order.ts";
import { type KeySpend, spendByKey } from "./key-spend.ts";
import { KeyStateBadge } from "./key-state-badge.tsx";
import { isRefused, type KeyTree, matchesFilter, type TreeRow, treeRows } from "./key-tree.ts";
import { useKeyLimits } from "./use-key-limits.tsx";
import type { KeyTreeQuery } from "./use-key-tree.ts";

const NO_SPEND: KeySpend = { own: 0n, withSubKeys: 0n, requestCount: 0n };

/** Filters of the list, as in the address. */
export type KeyListFilters = RangeFilters & Readonly<Record<"q" | "state" | "order", string>>;

interface KeyListProps {
  readonly query: KeyTreeQuery;
  readonly filters: KeyListFilters;
  readonly onChange: (change: Partial<KeyListFilters>) => void;
}

/** List of the keys of the namespace: a tree, or sorted. Spend is for the chosen range. */
export function KeyList({ query, filters, onChange }: KeyListProps) {
  const { tree, error, hasMore, isReadingMore, moreError, readMore, retry } = query;
  if (error !== null) return <ErrorNotice error={error} what="Keys cannot be read." onRetry={retry} />;
  if (tree === undefined) return <Skeleton lines={6} />;
  return (
    <>
      <KeyTable tree={tree} filters={filters} onChange={onChange} />
      {moreError !== null && <ErrorNotice error={moreError} what="More keys cannot be read." />}
      {hasMore && (
        <p className={styles.more}>
          The first {formatCount(tree.branches.size)} keys are shown, the oldest.{" "}
          <Button onClick={readMore} isBusy={isReadingMore}>
            Read more
          </Button>
        </p>
      )}
    </>
  );
}

interface KeyTableProps extends Omit<KeyListProps, "query"> {
  readonly tree: KeyTree;
}

function KeyTable({ tree, filters, onChange }: KeyTableProps) {
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const usage = useSpends(tree, filters);
  const limits = useKeyLimits();
  const filter = { text: filters.q, state: filters.state };
  const order = isOrderName(filters.order) ? filters.order : undefined;
  const matches = [...tree.branches.values()].filter((branch) => matchesFilter(branch, filter));
  const rows: readonly TreeRow[] =
    order === undefined
      ? treeRows(tree, filter, collapsed)
      : orderKeys(matches, order, usage.spends).map((branch) => ({
          branch,
          depth: 0,
          isMatch: true,
          hasRowsBelow: false,
        }));

  const toggle = (id: string): void => {
    const next = new Set(collapsed);
    if (!next.delete(id)) next.add(id);
    setCollapsed(next);
  };
  const columns: readonly Column<TreeRow>[] = [
    {
      title: "Name",
      cell: (row) => (
        <KeyNameCell
          row={row}
          isCollapsed={collapsed.has(row.branch.key.id)}
          onToggle={() => toggle(row.branch.key.id)}
        />
      ),
    },
    { title: "State", cell: ({ branch }) => <KeyStateBadge state={branch.state} /> },
    { title: "Last used", cell: ({ branch }) => <LastUsed date={fromTimestamp(branch.key.lastUsedAt)} /> },
    ...usage.columns,
    ...limits.columns,
    { title: "Id", cell: ({ branch }) => <CopyableId id={branch.key.id} />, isOptional: true },
  ];
  const hidden = filters.state === "" ? [...tree.branches.values()].filter(({ state }) => isRefused(state)).length : 0;
  return (
    <>
      {usage.notice}
      {limits.notice}
      <p className={styles.count} role="status">
        {countOf(matches.length, "key")}
        {hidden > 0 && (
          <>
            {" "}
            · {formatCount(hidden)} revoked or expired {hidden === 1 ? "one is" : "ones are"} hidden{" "}
            <Button kind="plain" onClick={() => onChange({ state: "all" })}>
              Show all
            </Button>
          </>
        )}
      </p>
      {rows.length === 0 ? (
        <EmptyState title="No keys match these filters.">
          <Button onClick={() => onChange({ q: "", state: "all" })}>Show all keys</Button>
        </EmptyState>
      ) : (
        <DataTable caption="Keys" columns={columns} rows={rows} keyOf={({ branch }) => branch.key.id} />
      )}
    </>
  );
}

function LastUsed({ date }: { readonly date: Date | undefined }) {
  return date === undefined ? <span className={styles.soft}>never</span> : <Time date={date} />;
}

/** Columns with the spend of the keys in the range of the filters; empty if the session may not read usage, or usage cannot be read. */
function useSpends(tree: KeyTree, filters: RangeFilters) {
  const enabled = holdsScope(useSession(), "usage:read");
  const range = timeRangeOf(filters, useNow(), "30d");
  const input = { ...toProtoRange(range), groupBy: [UsageDimension.KEY] };
  const { data, error, refetch } = useQuery(UsageService.method.getUsage, input, {
    enabled,
    placeholderData: (previous) => previous,
  });
  const spends = data === undefined ? new Map<string, KeySpend>() : spendByKey(tree, data.groups);
  const of = ({ branch }: TreeRow): KeySpend => spends.get(branch.key.id) ?? NO_SPEND;
  const columns: readonly Column<TreeRow>[] = [
    { title: "Requests", cell: (row) => formatCount(of(row).requestCount), isNumber: true, isOptional: true },
    { title: "Spend", cell: (row) => <Money microUsd={of(row).own} />, isNumber: true },
    {
      title: "With sub-keys",
      cell: (row) => (row.branch.children.length === 0 ? "" : <Money microUsd={of(row).withSubKeys} />),
      isNumber: true,
      isOptional: true,
    },
  ];
  return {
    spends,
    columns: data === undefined ? [] : columns,
    notice: error !== null && data === undefined && (
      <ErrorNotice error={error} what="The spend of keys cannot be read." onRetry={refetch} />
    ),
  };
}
