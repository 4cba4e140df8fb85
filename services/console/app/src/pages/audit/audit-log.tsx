import { useTransport } from "@connectrpc/connect-query";
import type { AuditEntry } from "@routeplane/contracts/audit";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { Link } from "wouter";
import { Button } from "../../components/button.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { Time } from "../../components/time.tsx";
import { countOf } from "../../format/money.ts";
import { fromTimestamp } from "../../format/time.ts";
import { useFilters } from "../../format/use-filters.ts";
import { useSession } from "../../session/use-session.ts";
import { Actor } from "./actor.tsx";
import { AUDIT_FILTER_NAMES, type AuditFilters, logsOf, toAuditFilter } from "./audit-filter.ts";
import { AuditFilterBar } from "./audit-filter-bar.tsx";
import styles from "./audit-log.module.css";
import { ChangeSummary } from "./changes.tsx";
import { readAuditPage } from "./read-audit-page.ts";
import { Target } from "./target.tsx";
import { ThingLink } from "./thing-link.tsx";
import { UnreadLogs } from "./unread-logs.tsx";
import { useThingNames } from "./use-thing-names.ts";
import { nodeNow } from "../../format/node-clock.ts";

const PAGE_SIZE = 50;

/** The audit log of all services as one list: who changed what, newest first. */
export function AuditLog() {
  const [filters, change] = useFilters(AUDIT_FILTER_NAMES);
  const clear = useCallback(() => change(Object.fromEntries(AUDIT_FILTER_NAMES.map((name) => [name, ""]))), [change]);
  return (
    <Page title="Audit">
      <NeedsScope scope="audit:read">
        <AuditFilterBar filters={filters} onChange={change} onClear={clear} />
        <Section title="Changes">
          <Entries filters={filters} />
        </Section>
      </NeedsScope>
    </Page>
  );
}

function Entries({ filters }: { readonly filters: AuditFilters }) {
  const transport = useTransport();
  const { kind } = useSession();
  const [openedAt] = useState(() => nodeNow());
  const filter = toAuditFilter(filters, openedAt);
  const pages = useInfiniteQuery({
    queryKey: ["audit", { ...filters, openedAt }],
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) =>
      readAuditPage(transport, logsOf(filters.action), { filter, pageSize: PAGE_SIZE, pageToken: pageParam }, signal),
    getNextPageParam: ({ nextPageToken }) => nextPageToken || undefined,
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: false,
  });
  const entries = useMemo(() => pages.data?.pages.flatMap((page) => page.entries) ?? [], [pages.data]);
  const nameOf = useThingNames(entries);
  const columns = useMemo(() => columnsOf(nameOf, kind === "operator"), [nameOf, kind]);
  const unread = pages.data?.pages.flatMap((page) => page.unread) ?? [];
  if (pages.data === undefined)
    return pages.error === null ? (
      <Skeleton lines={8} />
    ) : (
      <ErrorNotice error={pages.error} what="The audit log cannot be read." onRetry={pages.refetch} />
    );
  return (
    <div className={styles.entries} aria-busy={pages.isPlaceholderData}>
      <UnreadLogs unread={unread} onRetry={pages.refetch} />
      {pages.error !== null && (
        <ErrorNotice error={pages.error} what="Older changes cannot be read." onRetry={pages.fetchNextPage} />
      )}
      {entries.length === 0 ? (
        <EmptyState title="No changes match.">Choose a longer range, or remove a filter.</EmptyState>
      ) : (
        <DataTable caption="Changes, newest first" columns={columns} rows={entries} keyOf={({ id }) => id} />
      )}
      <p className={styles.foot}>
        {pages.hasNextPage ? (
          <Button isBusy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
            Load more
          </Button>
        ) : (
          entries.length > 0 && `All of this range is shown: ${countOf(entries.length, "change")}.`
        )}
      </p>
    </div>
  );
}

function columnsOf(nameOf: (id: string) => string | undefined, hasNamespaces: boolean): readonly Column<AuditEntry>[] {
  const namespace: Column<AuditEntry> = {
    title: "Namespace",
    cell: ({ namespaceId }) => <ThingLink id={namespaceId} name={nameOf(namespaceId)} />,
    isOptional: true,
  };
  return [
    {
      title: "Time",
      cell: ({ id, createdAt }) => (
        <Link href={`/audit/${id}`} className={styles.time}>
          <Time date={fromTimestamp(createdAt)} isExact />
        </Link>
      ),
    },
    { title: "Actor", cell: (entry) => <Actor entry={entry} nameOf={nameOf} /> },
    { title: "Action", cell: ({ action }) => <code>{action}</code> },
    { title: "Target", cell: (entry) => <Target entry={entry} nameOf={nameOf} /> },
    ...(hasNamespaces ? [namespace] : []),
    { title: "Changed", cell: (entry) => <ChangeSummary entry={entry} nameOf={nameOf} />, isOptional: true },
  ];
}
