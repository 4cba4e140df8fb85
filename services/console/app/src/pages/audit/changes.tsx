import { type Change, changesOf } from "@routeplane/audit/changes";
import type { AuditEntry } from "@routeplane/contracts/audit";
import type { ReactNode } from "react";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { Money } from "../../components/money.tsx";
import { Time } from "../../components/time.tsx";
import { formatUsd } from "../../format/money.ts";
import { shortText } from "../../format/short-text.ts";
import { formatTime } from "../../format/time.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";
import styles from "./changes.module.css";
import { ThingLink } from "./thing-link.tsx";
import { addedItems, type ShownValue, shownValueOf } from "./value-kind.ts";

interface ChangesProps {
  readonly entry: AuditEntry;
  readonly nameOf: (id: string) => string | undefined;
}

/** Values that an entry changed, field by field, before and after. */
export function Changes({ entry, nameOf }: ChangesProps) {
  const changes = changesOf(entry.before, entry.after);
  if (changes.length === 0) return <EmptyState title="None of the recorded values changed." />;
  const cell = (field: string, value: unknown, other: unknown): ReactNode => {
    const [shown, compared] = [shownValueOf(field, value), shownValueOf(field, other)];
    return <Value value={shown} marked={addedItems(compared, shown)} nameOf={nameOf} />;
  };
  const columns: readonly Column<Change>[] = [
    { title: "Field", cell: ({ field }) => <code>{field}</code> },
    { title: "Before", cell: ({ field, from, to }) => cell(field, from, to) },
    { title: "After", cell: ({ field, from, to }) => cell(field, to, from) },
  ];
  // A creation has no values before, and a deletion has none after.
  const shown = columns.filter(
    ({ title }) =>
      !(title === "Before" && entry.before === undefined) && !(title === "After" && entry.after === undefined),
  );
  return <DataTable caption="Changes" columns={shown} rows={changes} keyOf={({ field }) => field} />;
}

interface ValueProps {
  readonly value: ShownValue;
  /** Items of a list that only this side has. */
  readonly marked: ReadonlySet<string>;
  readonly nameOf: ChangesProps["nameOf"];
}

function Value({ value, marked, nameOf }: ValueProps) {
  switch (value.kind) {
    case "none":
      return <span className={styles.none}>none</span>;
    case "id":
      return <ThingLink id={value.id} name={nameOf(value.id)} />;
    case "time":
      return <Time date={value.date} isExact />;
    case "money":
      return <Money microUsd={value.microUsd} />;
    case "list":
      return value.items.length === 0 ? (
        <span className={styles.none}>empty</span>
      ) : (
        <ul className={styles.list}>
          {[...new Set(value.items)].map((item) => (
            <li key={item}>{marked.has(item) ? <mark>{item}</mark> : item}</li>
          ))}
        </ul>
      );
    case "text":
      return <bdi className={styles.text}>{value.text}</bdi>;
  }
}

/** Maximum number of values in the summary of an entry. */
const MAX_SUMMARY = 2;

/** First changes of an entry on one line, for lists. */
export function ChangeSummary({ entry, nameOf }: ChangesProps) {
  const [timeZone] = useTimeZone();
  const changes = changesOf(entry.before, entry.after);
  const isUpdate = entry.before !== undefined && entry.after !== undefined;
  const text = (field: string, value: unknown): string => summaryOf(shownValueOf(field, value), nameOf, timeZone);
  return (
    <ul className={styles.summary}>
      {changes.slice(0, MAX_SUMMARY).map(({ field, from, to }) => (
        <li key={field}>
          <code>{field}</code>{" "}
          <bdi>
            {isUpdate
              ? `${text(field, from)} → ${text(field, to)}`
              : text(field, entry.after === undefined ? from : to)}
          </bdi>
        </li>
      ))}
      {changes.length > MAX_SUMMARY && <li>and {changes.length - MAX_SUMMARY} more</li>}
    </ul>
  );
}

function summaryOf(value: ShownValue, nameOf: ChangesProps["nameOf"], timeZone: string): string {
  switch (value.kind) {
    case "none":
      return "none";
    case "id":
      return shortText(nameOf(value.id) ?? value.id);
    case "time":
      return formatTime(value.date, timeZone);
    case "money":
      return formatUsd(value.microUsd);
    case "list":
      return shortText(value.items.join(", "));
    case "text":
      return shortText(value.text);
  }
}
