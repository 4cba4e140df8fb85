import type { LoggedRequest } from "@routeplane/contracts/usage";
import { Link } from "wouter";
import { Clipped } from "../../components/clipped.tsx";
import { CopyableId } from "../../components/copyable-id.tsx";
import type { Column } from "../../components/data-table.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { Money } from "../../components/money.tsx";
import { StatusBadge } from "../../components/status-badge.tsx";
import { Time } from "../../components/time.tsx";
import { formatCount } from "../../format/money.ts";
import { formatDuration, fromTimestamp } from "../../format/time.ts";
import styles from "./request-columns.module.css";

/** Columns of the request log. */
export const REQUEST_COLUMNS: readonly Column<LoggedRequest>[] = [
  {
    title: "Received",
    cell: ({ id, createdAt }) => (
      <Link href={`/requests/${id}`} className={styles.time}>
        <Time date={fromTimestamp(createdAt)} isExact />
      </Link>
    ),
  },
  {
    title: "Status",
    cell: ({ status, errorCode }) => (
      <span className={styles.status}>
        <StatusBadge status={status} />
        {errorCode !== "" && <Clipped text={errorCode} />}
      </span>
    ),
  },
  { title: "Key", cell: ({ keyId }) => <KeyLink id={keyId} /> },
  { title: "Model", cell: ({ model }) => <Clipped text={model} /> },
  { title: "Provider", cell: ({ provider }) => <Clipped text={provider} />, isOptional: true },
  { title: "Input", cell: ({ promptTokens }) => formatCount(promptTokens), isNumber: true, isOptional: true },
  { title: "Output", cell: ({ completionTokens }) => formatCount(completionTokens), isNumber: true, isOptional: true },
  { title: "Duration", cell: durationText, isNumber: true, isOptional: true },
  { title: "Cost", cell: costCell, isNumber: true },
  { title: "Id", cell: ({ id }) => <CopyableId id={id} />, isOptional: true },
];

function costCell({ costMicroUsd, estimated }: LoggedRequest) {
  if (!estimated) return <Money microUsd={costMicroUsd} />;
  return (
    <>
      <Money microUsd={costMicroUsd} /> <small>estimated</small>
    </>
  );
}

function durationText({ createdAt, completedAt }: LoggedRequest): string {
  const [start, end] = [fromTimestamp(createdAt), fromTimestamp(completedAt)];
  return start === undefined || end === undefined ? "–" : formatDuration(end.getTime() - start.getTime());
}
