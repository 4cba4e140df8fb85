import { Code } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { type GetRequestResponse, type LoggedRequest, RequestStatus, UsageService } from "@routeplane/contracts/usage";
import { Link } from "wouter";
import { Clipped } from "../../components/clipped.tsx";
import { CopyableId } from "../../components/copyable-id.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Facts } from "../../components/facts.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { Time } from "../../components/time.tsx";
import { fromTimestamp } from "../../format/time.ts";
import { Charge } from "./charge.tsx";
import { Decisions } from "./decisions.tsx";
import { Explanation } from "./explanation.tsx";
import { MAX_FILTER_LENGTH } from "./request-filter.ts";
import { TimeBar } from "./time-bar.tsx";

/** Interval at which a running request is read again. Milliseconds. */
const PENDING_POLL_MS = 2_000;

/** Page of one request and its receipt. */
export function RequestDetail({ id }: { readonly id: string }) {
  return (
    <Page title="Request" actions={<Link href="/requests">All requests</Link>}>
      <NeedsScope scope="usage:read">
        <Receipt id={id} />
      </NeedsScope>
    </Page>
  );
}

function Receipt({ id }: { readonly id: string }) {
  const { data, error, refetch } = useQuery(
    UsageService.method.getRequest,
    { id },
    { refetchInterval: ({ state }) => (isPending(state.data) ? PENDING_POLL_MS : false) },
  );
  if (error?.code === Code.NotFound) return <Unknown id={id} message={error.rawMessage} />;
  if (error !== null && data === undefined)
    return <ErrorNotice error={error} what="The request cannot be read." onRetry={refetch} />;
  if (data?.request === undefined) return <Skeleton lines={8} />;
  const { request, receipt } = data;
  return (
    <>
      <Section title="What happened" actions={<StatusBadge status={request.status} />}>
        <Explanation request={request} receipt={receipt} />
      </Section>
      <Section title="Request">
        <RequestFacts request={request} />
      </Section>
      <Section title="Charge">
        <Charge request={request} receipt={receipt} />
      </Section>
      <Section title="Time">
        {receipt === undefined ? <p>No times are recorded for this request.</p> : <TimeBar receipt={receipt} />}
      </Section>
      <Section title="Policies">
        <Decisions request={request} receipt={receipt} />
      </Section>
    </>
  );
}

function isPending(data: GetRequestResponse | undefined): boolean {
  return data?.request?.status === RequestStatus.PENDING;
}

function Unknown({ id, message }: { readonly id: string; readonly message: string }) {
  return (
    <EmptyState title="There is no such request.">
      <p>
        <Clipped text={id} />: {message}
      </p>
      <Link href="/requests">See all requests</Link>
    </EmptyState>
  );
}

function RequestFacts({ request }: { readonly request: LoggedRequest }) {
  const { id, keyId, model, provider, endpoint, streamed, httpStatus, errorCode, upstreamStatus } = request;
  const answered = [httpStatus || "", errorCode].filter(Boolean).join(" ");
  return (
    <Facts
      facts={[
        ["Id", <CopyableId key="id" id={id} />],
        ["Key", <KeyLink key="key" id={keyId} />],
        [
          "Requests of this key",
          <Link key="requests" href={requestsOf("key", keyId)}>
            Show them
          </Link>,
        ],
        ["Model", model && <SharedValue name="model" value={model} />],
        ["Provider", provider && <SharedValue name="provider" value={provider} />],
        ["Route", `${endpoint}${streamed ? " (streamed)" : ""}`],
        ["Answered", answered],
        ["Upstream status", upstreamStatus],
        ["Upstream id", request.upstreamRequestId && <CopyableId id={request.upstreamRequestId} />],
        ["Received", <Time key="received" date={fromTimestamp(request.createdAt)} isExact />],
        ["Ended", request.completedAt && <Time date={fromTimestamp(request.completedAt)} isExact />],
      ]}
    />
  );
}

interface SharedValueProps {
  readonly name: "model" | "provider";
  readonly value: string;
}

/** Value that several requests share. It links to them, unless it is longer than the service can filter by. */
function SharedValue({ name, value }: SharedValueProps) {
  if (value.length > MAX_FILTER_LENGTH) return <Clipped text={value} />;
  return (
    <Link href={requestsOf(name, value)}>
      <Clipped text={value} />
    </Link>
  );
}

function requestsOf(name: string, value: string): string {
  return `/requests?${new URLSearchParams({ [name]: value })}`;
}
