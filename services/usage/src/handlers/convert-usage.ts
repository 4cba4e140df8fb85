import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type UsageDifferenceSchema,
  UsageDimension,
  type UsageGroupSchema,
  UsageMeasure,
} from "@routeplane/contracts/usage";
import { nanoToMicro, parseId } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import { type LatencyHistogram, quantilesOf } from "../domain/latency.ts";
import type { ReconciliationPosition, UsageDifference } from "../domain/reconciliation.ts";
import { type Dimension, type Measure, startOfHour, type UsageGroup, type UsageTotals } from "../domain/usage.ts";
import { toProtoStatus } from "./convert-request.ts";

const DIMENSIONS: Readonly<Record<UsageDimension, readonly Dimension[]>> = {
  [UsageDimension.UNSPECIFIED]: [],
  [UsageDimension.KEY]: ["key"],
  [UsageDimension.MODEL]: ["model"],
  [UsageDimension.PROVIDER]: ["provider"],
  [UsageDimension.STATUS]: ["status"],
  [UsageDimension.HOUR]: ["hour"],
  [UsageDimension.DAY]: ["day"],
};

/** Returns the dimension; none for UNSPECIFIED, which the validation of the contract refuses before. */
export function fromProtoDimension(dimension: UsageDimension): readonly Dimension[] {
  return DIMENSIONS[dimension];
}

const MEASURES: Readonly<Record<UsageMeasure, Measure>> = {
  [UsageMeasure.UNSPECIFIED]: "spend",
  [UsageMeasure.SPEND]: "spend",
  [UsageMeasure.REQUESTS]: "requests",
  [UsageMeasure.TOKENS]: "tokens",
  [UsageMeasure.DENIED]: "denied",
};

export function fromProtoMeasure(measure: UsageMeasure): Measure {
  return MEASURES[measure];
}

/** Largest amount of the contract: 9.2 million million USD. */
const MAX_INT64 = 2n ** 63n - 1n;

export function toProtoTotals(totals: UsageTotals) {
  const { costNanoUsd, requestCount, promptTokens, completionTokens, deniedCount, deniedUnloggedCount, latencies } =
    totals;
  const exactMicroUsd = nanoToMicro(costNanoUsd);
  const spendMicroUsd = exactMicroUsd < MAX_INT64 ? exactMicroUsd : MAX_INT64;
  const counts = { requestCount, promptTokens, completionTokens, spendMicroUsd, deniedCount, deniedUnloggedCount };
  const [total, firstToken] = [toProtoLatency(latencies.total), toProtoLatency(latencies.firstToken)];
  return { ...counts, ...(total && { totalLatency: total }), ...(firstToken && { firstTokenLatency: firstToken }) };
}

function toProtoLatency(histogram: LatencyHistogram) {
  const quantiles = quantilesOf(histogram);
  if (quantiles === undefined) return undefined;
  const { requestCount, p50Ms, p95Ms, p99Ms } = quantiles;
  return {
    requestCount: BigInt(requestCount),
    p50Ms: BigInt(p50Ms),
    p95Ms: BigInt(p95Ms),
    p99Ms: BigInt(p99Ms),
  };
}

export function toProtoGroup(group: UsageGroup): MessageInitShape<typeof UsageGroupSchema> {
  const { keyId = "", model = "", provider = "", status, hour, day, restCount } = group;
  return {
    keyId,
    model,
    provider,
    status: toProtoStatus(status),
    ...(hour && { hour: toTimestamp(hour) }),
    ...(day && { day: toTimestamp(day) }),
    ...toProtoTotals(group),
    restCount,
  };
}

export function toProtoDifference(difference: UsageDifference): MessageInitShape<typeof UsageDifferenceSchema> {
  const { namespaceId, fiveMinutes, kept, expected } = difference;
  return {
    namespaceId,
    kept: toProtoGroup(kept),
    expected: toProtoGroup(expected),
    ...(fiveMinutes && { fiveMinutes: toTimestamp(fiveMinutes) }),
  };
}

/** Writes a position of a reconciliation as the text of a page token. */
export function toReconciliationText({ namespaceId, from }: ReconciliationPosition): string {
  return from === undefined ? namespaceId : `${namespaceId}.${from.getTime()}`;
}

/** Reads the text of a page token; undefined if it is not a position of a reconciliation. */
export function fromReconciliationText(text: string): ReconciliationPosition | undefined {
  const [, id = "", timeMs] = /^(ns_\w+)(?:\.(-?\d{1,15}))?$/.exec(text) ?? [];
  const namespaceId = parseId("ns", id);
  const from = timeMs === undefined ? undefined : new Date(Number(timeMs));
  const isHour = from === undefined || from.getTime() === startOfHour(from).getTime();
  return namespaceId && isHour ? { namespaceId, from } : undefined;
}
