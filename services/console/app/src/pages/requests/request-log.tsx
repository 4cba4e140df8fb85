import { useCallback, useMemo, useState } from "react";
import { Button } from "../../components/button.tsx";
import { DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { countOf } from "../../format/money.ts";
import { useFilters } from "../../format/use-filters.ts";
import { FilterBar } from "./filter-bar.tsx";
import { withListed } from "./live-rows.ts";
import { LiveSwitch } from "./live-switch.tsx";
import { REQUEST_COLUMNS } from "./request-columns.tsx";
import { FILTER_NAMES, hasFixedRange, type RequestFilters, toRequestFilter } from "./request-filter.ts";
import styles from "./request-log.module.css";
import { useLiveRequests } from "./use-live-requests.ts";
import { useRequestPages } from "./use-request-pages.ts";
import { nodeNow } from "../../format/node-clock.ts";

/** Request log: filters, pages with the newest first, and the live tail. */
export function RequestLog() {
  const [filters, change] = useFilters([...FILTER_NAMES, "live"]);
  const clear = useCallback(() => change(Object.fromEntries(FILTER_NAMES.map((name) => [name, ""]))), [change]);
  return (
    <Page title="Requests">
      <NeedsScope scope="usage:read">
        <FilterBar filters={filters} onChange={change} onClear={clear} />
        <Rows
          filters={filters}
          isLive={filters.live === "on"}
          onLive={(isLive) => change({ live: isLive ? "on" : "" })}
        />
      </NeedsScope>
    </Page>
  );
}

interface RowsProps {
  readonly filters: RequestFilters;
  readonly isLive: boolean;
  readonly onLive: (isLive: boolean) => void;
}

function Rows({ filters, isLive, onLive }: RowsProps) {
  const [readAt, setReadAt] = useReadTime();
  const { key, model, provider, status, range, from, to } = filters;
  const filter = useMemo(
    () => toRequestFilter({ key, model, provider, status, range, from, to }, readAt),
    [key, model, provider, status, range, from, to, readAt],
  );
  const { requests, restart, ...pages } = useRequestPages(filter);
  const canFollow = !hasFixedRange(filters);
  const live = useLiveRequests(isLive && canFollow ? filter : undefined, restart);
  const follow = (next: boolean): void => {
    // When the tail is turned off, the list must include what the tail showed.
    if (!next) restart();
    onLive(next);
  };
  const refresh = (): void => {
    setReadAt(nodeNow());
    restart();
  };

  const isFollowing = live.state.at !== "off";
  const rows = requests && withListed(live, requests);
  return (
    <Section
      title={isFollowing ? "Newest requests" : "Request log"}
      actions={
        <>
          <LiveSwitch isOn={isLive && canFollow} canFollow={canFollow} state={live.state} onChange={follow} />
          {!isFollowing && <Button onClick={refresh}>Refresh</Button>}
        </>
      }
    >
      {pages.error !== null && (
        <ErrorNotice error={pages.error} what="The request log cannot be read." onRetry={pages.refetch} />
      )}
      {rows === undefined && pages.error === null && <Skeleton lines={8} />}
      {rows?.length === 0 && <NoRequests isFollowing={isFollowing} />}
      {rows !== undefined && rows.length > 0 && (
        <div className={styles.rows} aria-busy={pages.isPlaceholderData} data-live={isFollowing}>
          <DataTable caption="Requests, newest first" columns={REQUEST_COLUMNS} rows={rows} keyOf={({ id }) => id} />
          <p className={styles.foot}>
            {isFollowing ? (
              "The newest are shown. Switch the live tail off to load older ones."
            ) : pages.hasNextPage ? (
              <Button isBusy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
                Load more
              </Button>
            ) : (
              `All of this range is shown: ${countOf(rows.length, "request")}.`
            )}
          </p>
        </div>
      )}
    </Section>
  );
}

function NoRequests({ isFollowing }: { readonly isFollowing: boolean }) {
  if (isFollowing) return <EmptyState title="No requests yet.">They are shown here as soon as they end.</EmptyState>;
  return (
    <EmptyState title="No requests match.">
      Choose a longer range, or remove a filter. The quick start shows how to send one.
    </EmptyState>
  );
}

/** Age up to which a page that is opened again shows its range as it was read. Milliseconds. */
const KEPT_MS = 5 * 60_000;
let lastReadAt = 0;

/** Time at which ranges that end now were read. It stays the same until it is set, so that the pages of a list belong together. */
function useReadTime(): readonly [number, (time: number) => void] {
  const [readAt, setReadAt] = useState(() => {
    if (nodeNow() - lastReadAt > KEPT_MS) lastReadAt = nodeNow();
    return lastReadAt;
  });
  const set = useCallback((time: number): void => {
    lastReadAt = time;
    setReadAt(time);
  }, []);
  return [readAt, set];
}
