import { useTransport } from "@connectrpc/connect-query";
import type { AuditEntry } from "@routeplane/contracts/audit";
import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { Clipped } from "../../components/clipped.tsx";
import { CopyableId } from "../../components/copyable-id.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Facts } from "../../components/facts.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { Time } from "../../components/time.tsx";
import { fromTimestamp } from "../../format/time.ts";
import { Actor } from "./actor.tsx";
import { LOGS } from "./audit-filter.ts";
import { Changes } from "./changes.tsx";
import { readAuditPage } from "./read-audit-page.ts";
import { Target } from "./target.tsx";
import { ThingLink } from "./thing-link.tsx";
import { UnreadLogs } from "./unread-logs.tsx";
import { useThingNames } from "./use-thing-names.ts";

/** One change, with every value before and after. */
export function AuditDetail({ id }: { readonly id: string }) {
  return (
    <Page title="Change" actions={<Link href="/audit">All changes</Link>}>
      <NeedsScope scope="audit:read">
        <Entry id={id} />
      </NeedsScope>
    </Page>
  );
}

function Entry({ id }: { readonly id: string }) {
  const transport = useTransport();
  // The id does not show which service's log has the entry.
  const { data, error, refetch } = useQuery({
    queryKey: ["audit-entry", id],
    queryFn: ({ signal }) => readAuditPage(transport, LOGS, { filter: { id }, pageSize: 1, pageToken: "" }, signal),
    staleTime: Infinity,
  });
  const nameOf = useThingNames(data?.entries ?? NO_ENTRIES);
  if (error !== null) return <ErrorNotice error={error} what="The change cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton lines={6} />;
  const [entry] = data.entries;
  if (entry === undefined)
    return (
      <>
        <UnreadLogs unread={data.unread} onRetry={refetch} />
        <EmptyState title="There is no such change, or you may not read it.">
          <p>
            <Clipped text={id} />
          </p>
          <Link href="/audit">See all changes</Link>
        </EmptyState>
      </>
    );
  return (
    <>
      <Section title="What happened">
        <Facts facts={factsOf(entry, nameOf)} />
      </Section>
      <Section title="Changed values">
        <Changes entry={entry} nameOf={nameOf} />
      </Section>
    </>
  );
}

const NO_ENTRIES: readonly AuditEntry[] = [];

function factsOf(entry: AuditEntry, nameOf: (id: string) => string | undefined) {
  const { id, action, targetId, namespaceId, requestId, address, actorId } = entry;
  const others = (filter: Readonly<Record<string, string>>): string => `/audit?${new URLSearchParams(filter)}`;
  return [
    ["Time", <Time key="time" date={fromTimestamp(entry.createdAt)} isExact />],
    ["Actor", <Actor key="actor" entry={entry} nameOf={nameOf} />],
    ["Action", <code key="action">{action}</code>],
    ["Target", <Target key="target" entry={entry} nameOf={nameOf} />],
    ["Namespace", namespaceId && <ThingLink id={namespaceId} name={nameOf(namespaceId)} />],
    ["Address of the caller", address],
    ["Id of the call in logs", requestId && <CopyableId id={requestId} />],
    ["Id of the target", <CopyableId key="target" id={targetId} />],
    ["Id of the entry", <CopyableId key="entry" id={id} />],
    [
      "Same target",
      <Link key="target" href={others({ target: targetId })}>
        Changes of this target
      </Link>,
    ],
    ["Same actor", actorId && <Link href={others({ actor: actorId })}>Changes by this actor</Link>],
  ] as const;
}
