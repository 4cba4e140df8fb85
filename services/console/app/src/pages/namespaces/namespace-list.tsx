import { useQuery } from "@connectrpc/connect-query";
import { UsageAdminService } from "@routeplane/contracts/usage";
import { Button } from "../../components/button.tsx";
import { CopyableId } from "../../components/copyable-id.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Money } from "../../components/money.tsx";
import { Notice } from "../../components/notice.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { formatCount } from "../../format/money.ts";
import { type TimeRange, toProtoRange } from "../../format/time-range.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import { NamespaceActions } from "./namespace-actions.tsx";
import { type NamespaceRow, namespaceRows } from "./namespace-rows.ts";
import { NamespaceStateBadge } from "./namespace-state-badge.tsx";
import styles from "./namespaces.module.css";
import { useEnterNamespace } from "./use-enter-namespace.ts";
import { useAccountNames, type useNamespaces } from "./use-namespaces.ts";

interface NamespaceListProps {
  readonly query: ReturnType<typeof useNamespaces>;
  readonly range: TimeRange;
  readonly text: string;
}

/** List of namespaces with state, usage in the range, and the actions of the operator. */
export function NamespaceList({ query, range, text }: NamespaceListProps) {
  const { data, error, refetch, hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = query;
  const accounts = useAccountNames();
  const entry = useEnterNamespace();
  const usage = useNodeUsage(range);
  if (data === undefined) {
    if (error !== null) return <ErrorNotice error={error} what="Namespaces cannot be read." onRetry={refetch} />;
    return <Skeleton lines={5} />;
  }
  const namespaces = data.pages.flatMap((page) => page.namespaces);
  const rows = namespaceRows(namespaces, usage.data?.groups ?? [], text);
  const columns: readonly Column<NamespaceRow>[] = [
    { title: "Name", cell: ({ namespace }) => namespace.name },
    { title: "State", cell: ({ namespace }) => <NamespaceStateBadge namespace={namespace} /> },
    ...(accounts.size > 1 ? [accountColumn(accounts)] : []),
    ...(usage.data === undefined ? [] : USAGE_COLUMNS),
    { title: "Id", cell: ({ namespace }) => <CopyableId id={namespace.id} />, isOptional: true },
    {
      title: "Actions",
      cell: ({ namespace }) => (
        <div className={styles.actions}>
          <NamespaceActions namespace={namespace} entry={entry} />
        </div>
      ),
    },
  ];
  return (
    <>
      {usage.error !== null && (
        <ErrorNotice error={usage.error} what="The usage of namespaces cannot be read." onRetry={usage.refetch} />
      )}
      {entry.error !== undefined && <Notice kind="error">{entry.error}</Notice>}
      {rows.length === 0 ? (
        <EmptyState title={namespaces.length === 0 ? "There are no namespaces." : "No namespace has this in its name."}>
          {namespaces.length === 0 && "Create one: keys, policies and usage live in namespaces."}
        </EmptyState>
      ) : (
        <DataTable caption="Namespaces" columns={columns} rows={rows} keyOf={({ namespace }) => namespace.id} />
      )}
      {isFetchNextPageError && <ErrorNotice error={error} what="More namespaces cannot be read." />}
      {hasNextPage && (
        <p className={styles.text}>
          <Button isBusy={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            Read more
          </Button>
        </p>
      )}
    </>
  );
}

const USAGE_COLUMNS: readonly Column<NamespaceRow>[] = [
  { title: "Requests", cell: ({ totals }) => formatCount(totals.requestCount), isNumber: true },
  { title: "Refused", cell: ({ totals }) => formatCount(totals.deniedCount), isNumber: true, isOptional: true },
  { title: "Spend", cell: ({ totals }) => <Money microUsd={totals.spendMicroUsd} />, isNumber: true },
];

function accountColumn(names: ReadonlyMap<string, string>): Column<NamespaceRow> {
  return {
    title: "Account",
    cell: ({ namespace: { accountId } }) => names.get(accountId) ?? accountId,
    isOptional: true,
  };
}

/** Usage of every namespace in the range. Not read without the scope `usage:read`. */
function useNodeUsage(range: TimeRange) {
  const enabled = holdsScope(useSession(), "usage:read");
  return useQuery(UsageAdminService.method.getNodeUsage, toProtoRange(range), {
    enabled,
    placeholderData: (previous) => previous,
  });
}
