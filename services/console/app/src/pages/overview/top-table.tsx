import { Link } from "wouter";
import { Clipped } from "../../components/clipped.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { formatCount } from "../../format/money.ts";
import type { TimeRange } from "../../format/time-range.ts";
import { type MeasureName, MEASURES } from "../../format/measures.ts";
import { requestsLink } from "./requests-link.ts";
import type { TopRow } from "./top-groups.ts";

/** Dimension of a list of the largest values. */
export type TopDimension = "key" | "model";

interface TopTableProps {
  readonly caption: string;
  readonly by: TopDimension;
  readonly rows: readonly TopRow[];
  readonly range: TimeRange;
}

/** Table of the values of a dimension with the largest amounts. The numbers of requests and refusals link to the request log. */
export function TopTable({ caption, by, rows, range }: TopTableProps) {
  const columns = [
    by === "key" ? KEY : MODEL,
    amountColumn("spend", by, range),
    amountColumn("requests", by, range),
    amountColumn("tokens", by, range),
    amountColumn("refusals", by, range),
  ];
  return <DataTable caption={caption} columns={columns} rows={rows} keyOf={({ id }) => id ?? " others"} />;
}

const KEY: Column<TopRow> = {
  title: "Key",
  cell: ({ id, count }) => (id === undefined ? others(count) : <KeyLink id={id} />),
};
const MODEL: Column<TopRow> = {
  title: "Model",
  cell: ({ id, count }) => (id === undefined ? others(count) : <Clipped text={id} />),
};

function others(count: number): string {
  return `${formatCount(count)} others`;
}

function amountColumn(measure: MeasureName, by: TopDimension, range: TimeRange): Column<TopRow> {
  const { title, valueOf, format } = MEASURES[measure];
  const isCounted = measure === "requests" || measure === "refusals";
  return {
    title,
    isNumber: true,
    isOptional: measure === "tokens" || measure === "refusals",
    cell({ id, totals }) {
      const value = valueOf(totals);
      if (!isCounted || id === undefined || value === 0n) return format(value);
      return <Link href={requestsLink(range, measure, by, id)}>{format(value)}</Link>;
    },
  };
}
