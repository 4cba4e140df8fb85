import { RequestStatus, type UsageDifference, type UsageGroup } from "@routeplane/contracts/usage";
import type { Column } from "../../output/table.ts";
import { fromProtoStatus } from "../requests/request.ts";
import { fromProtoTotals, type TotalsView } from "../usage.ts";
import { requirePresent, fromProtoText, fromProtoTime } from "../values.ts";

export interface DifferenceView {
  readonly namespace_id: string;
  /** Start of the hour, in UTC, if the rollup is by hour; else null. */
  readonly hour: string | null;
  /** Start of the day, in UTC, if the rollup is by day; else null. */
  readonly day: string | null;
  /** Start of the five minutes, in UTC, if the rollup is by five minutes; else null. */
  readonly five_minutes: string | null;
  /** Null, with model, provider and status, for the sum of all requests that were not denied. */
  readonly key_id: string | null;
  readonly model: string | null;
  readonly provider: string | null;
  readonly status: string | null;
  readonly kept: TotalsView;
  /** Sums over the request log, or over rollups of shorter periods. */
  readonly expected: TotalsView;
}

export function fromProtoDifference({ namespaceId, fiveMinutes, kept, expected }: UsageDifference): DifferenceView {
  const sum: UsageGroup = requirePresent(kept);
  return {
    namespace_id: namespaceId,
    hour: fromProtoTime(sum.hour),
    day: fromProtoTime(sum.day),
    five_minutes: fromProtoTime(fiveMinutes),
    key_id: fromProtoText(sum.keyId),
    model: fromProtoText(sum.model),
    provider: fromProtoText(sum.provider),
    status: sum.status === RequestStatus.UNSPECIFIED ? null : fromProtoStatus(sum.status),
    kept: fromProtoTotals(sum),
    expected: fromProtoTotals(requirePresent(expected)),
  };
}

function totalsText({
  request_count,
  prompt_tokens,
  completion_tokens,
  spend_micro_usd,
  ...latencies
}: TotalsView): string {
  const latency = latencies.total_p95_ms === null ? "" : ` (p95 ${latencies.total_p95_ms} ms)`;
  return `${request_count}/${prompt_tokens}/${completion_tokens}/${spend_micro_usd}${latency}`;
}

export const DIFFERENCE_COLUMNS: readonly Column<DifferenceView>[] = [
  { header: "NAMESPACE", cell: ({ namespace_id }) => namespace_id },
  {
    header: "START (UTC)",
    cell: ({ hour, day, five_minutes }) => five_minutes?.slice(0, 16) ?? hour?.slice(0, 13) ?? day?.slice(0, 10) ?? "-",
  },
  { header: "KEY", cell: ({ key_id }) => key_id ?? "(all)" },
  { header: "MODEL", cell: ({ model, provider }) => `${provider ?? "-"}/${model ?? "-"}` },
  { header: "STATUS", cell: ({ status }) => status ?? "-" },
  { header: "STORED (requests/in/out/micro-usd)", cell: ({ kept }) => totalsText(kept) },
  { header: "EXPECTED", cell: ({ expected }) => totalsText(expected) },
];
