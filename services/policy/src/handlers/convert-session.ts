import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type CounterRequest as ProtoCounterRequest,
  Dimension as ProtoDimension,
  ReportOutcome as ProtoOutcome,
  SessionState as ProtoState,
  type SettlementReport as ProtoReport,
  type SliceGrantSchema,
  type SliceRequest as ProtoSliceRequest,
} from "@routeplane/contracts/policy";
import { definedFields, invalidField, parseId, requireId } from "@routeplane/domain";
import { findWord } from "@routeplane/policy-spec/proto";
import { fromTimestamp, toTimestamp } from "@routeplane/rpc";
import type { CounterGrant, CounterRequest, Dimension } from "../domain/sessions/grants.ts";
import type { SliceGrant, SliceRequest } from "../domain/sessions/ports.ts";
import type { ReportedEnd, ReportOutcome, SettlementReport } from "../domain/sessions/reports.ts";
import type { SessionState } from "../domain/sessions/session.ts";

const PROTO_DIMENSIONS = {
  money: ProtoDimension.MONEY,
  requests: ProtoDimension.REQUESTS,
  tokens: ProtoDimension.TOKENS,
  concurrent: ProtoDimension.CONCURRENT,
} as const satisfies Readonly<Record<Dimension, ProtoDimension>>;

const PROTO_STATES = {
  open: ProtoState.OPEN,
  ended: ProtoState.ENDED,
  settled: ProtoState.SETTLED,
  closed: ProtoState.CLOSED,
} as const satisfies Readonly<Record<SessionState, ProtoState>>;

const PROTO_OUTCOMES = {
  done: ProtoOutcome.DONE,
  refused: ProtoOutcome.REFUSED,
  again: ProtoOutcome.UNSPECIFIED,
} as const satisfies Readonly<Record<ReportOutcome, ProtoOutcome>>;

export function toProtoState(state: SessionState): ProtoState {
  return PROTO_STATES[state];
}

export function toProtoReportOutcome(outcome: ReportOutcome): ProtoOutcome {
  return PROTO_OUTCOMES[outcome];
}

export function fromProtoSliceRequest({ namespaceId, limitSet, counters }: ProtoSliceRequest): SliceRequest {
  const converted = counters.map(fromProtoCounterRequest);
  const names = new Set(converted.map(({ bindingId, dimension }) => `${bindingId} ${dimension}`));
  if (names.size < converted.length) throw invalidField("requests.counters", "must be of different counters");
  return { namespaceId: requireId("ns", namespaceId), limitSet, counters: converted };
}

function fromProtoCounterRequest(request: ProtoCounterRequest): CounterRequest {
  const { bindingId, granted, returned, needed, wanted, free, doubt, rateReturns } = request;
  const dimension = findWord(PROTO_DIMENSIONS, request.dimension);
  if (dimension === undefined) throw invalidField("requests.counters.dimension", "must be a dimension");
  const amounts = { granted, returned, needed, wanted, free, doubt };
  for (const [name, amount] of Object.entries(amounts))
    if (amount > MAX_AMOUNT) throw invalidField(`requests.counters.${name}`, `must be at most ${MAX_AMOUNT}`);
  return {
    bindingId: requireId("bnd", bindingId),
    dimension,
    ...amounts,
    rateReturns: rateReturns.flatMap(({ amount, countedAt }) => {
      const countedAtMs = fromTimestamp(countedAt)?.getTime();
      return countedAtMs === undefined ? [] : [{ amount, countedAtMs }];
    }),
  };
}

/** Largest amount of a slice: gateways count in JavaScript numbers. */
const MAX_AMOUNT = BigInt(Number.MAX_SAFE_INTEGER);

/** @param grant undefined for a request that was not processed */
export function toProtoSliceGrant(grant: SliceGrant | undefined): MessageInitShape<typeof SliceGrantSchema> {
  if (grant === undefined) return { granted: false, counters: [] };
  return { granted: grant.granted, counters: grant.counters.map(toProtoCounterGrant) };
}

function toProtoCounterGrant({ rate, resetsAtMs, ...grant }: CounterGrant) {
  return {
    ...grant,
    ...definedFields({
      rate: rate && {
        amount: rate.amount,
        countedAt: toTimestamp(new Date(rate.countedAtMs)),
        validMs: Math.floor(rate.validMs),
      },
      resetsAt: resetsAtMs === undefined ? undefined : toTimestamp(new Date(resetsAtMs)),
    }),
  };
}

/** @returns undefined for a report that can never be applied */
export function fromProtoReport(report: ProtoReport): SettlementReport | undefined {
  const namespaceId = parseId("ns", report.namespaceId);
  const keyId = parseId("key", report.keyId);
  const requestId = parseId("req", report.requestId);
  const sessionId = report.sessionId === "" ? undefined : parseId("gws", report.sessionId);
  const end = fromProtoEnd(report.end);
  const isNamed = report.sessionId === "" || sessionId !== undefined;
  if (namespaceId === undefined || keyId === undefined || requestId === undefined || end === undefined || !isNamed)
    return undefined;
  return {
    namespaceId,
    keyId,
    requestId,
    sessionId,
    limitSet: report.limitSet,
    countedAtMs: fromTimestamp(report.countedAt)?.getTime(),
    boundNano: report.boundNanoUsd,
    tokensMax: report.tokensMax,
    end,
  };
}

function fromProtoEnd(end: ProtoReport["end"]): ReportedEnd | undefined {
  switch (end.case) {
    case "settled":
      return { kind: "settled", costNano: end.value.costNanoUsd, tokens: end.value.tokens };
    case "released":
      return { kind: "released", neverSent: end.value.neverSent };
    case "unknown":
      return { kind: "unknown" };
    case undefined:
      return undefined;
  }
}
