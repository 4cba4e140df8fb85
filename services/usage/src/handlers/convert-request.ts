import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type LoggedRequestSchema,
  type ReceiptSchema,
  type RequestChargeSchema,
  RequestStatus as ProtoStatus,
  type RequestFilter as ProtoFilter,
  type UsageDifferenceSchema,
  UsageDimension,
  type UsageGroupSchema,
} from "@routeplane/contracts/usage";
import { nanoToMicro, parseId } from "@routeplane/domain";
import { fromTimeRange, toTimestamp } from "@routeplane/rpc";
import type { Position, RequestFilter } from "../domain/ports.ts";
import type { UsageDifference } from "../domain/reconciliation.ts";
import type { ListedRequest, LoggedRequest, RequestStatus } from "../domain/request.ts";
import type { Dimension, UsageGroup, UsageTotals } from "../domain/usage.ts";

const STATUSES: Readonly<Record<RequestStatus, ProtoStatus>> = {
  pending: ProtoStatus.PENDING,
  succeeded: ProtoStatus.SUCCEEDED,
  failed: ProtoStatus.FAILED,
  cancelled: ProtoStatus.CANCELLED,
  denied: ProtoStatus.DENIED,
  unknown: ProtoStatus.UNKNOWN,
};

const BY_STATUS = new Map(Object.entries(STATUSES).map(([status, proto]) => [proto, status as RequestStatus]));

const DIMENSIONS: Readonly<Record<UsageDimension, readonly Dimension[]>> = {
  [UsageDimension.UNSPECIFIED]: [],
  [UsageDimension.KEY]: ["key"],
  [UsageDimension.MODEL]: ["model"],
  [UsageDimension.PROVIDER]: ["provider"],
  [UsageDimension.STATUS]: ["status"],
  [UsageDimension.HOUR]: ["hour"],
  [UsageDimension.DAY]: ["day"],
};

/** None for one that is not known: the contract refuses those before. */
export function fromProtoDimension(dimension: UsageDimension): readonly Dimension[] {
  return DIMENSIONS[dimension];
}

export function fromProtoFilter(filter: ProtoFilter | undefined): RequestFilter {
  return {
    keyId: filter?.keyId || undefined,
    model: filter?.model || undefined,
    status: filter && BY_STATUS.get(filter.status),
    ...fromTimeRange(filter),
  };
}

/** A place in the log as a page token holds it. */
export function toPositionText({ createdAt, id }: Position): string {
  return `${createdAt.getTime()}.${id}`;
}

/** Undefined for a text that is no place in the log. */
export function fromPositionText(text: string): Position | undefined {
  const [, timeMs = "", idText = ""] = /^(\d{1,15})\.(req_\w+)$/.exec(text) ?? [];
  const id = parseId("req", idText);
  return id && { createdAt: new Date(Number(timeMs)), id };
}

export function toProtoTotals(totals: UsageTotals) {
  const { costNanoUsd, requestCount, promptTokens, completionTokens, deniedCount, deniedUnloggedCount } = totals;
  const spendMicroUsd = nanoToMicro(costNanoUsd);
  return { requestCount, promptTokens, completionTokens, spendMicroUsd, deniedCount, deniedUnloggedCount };
}

export function toProtoGroup(group: UsageGroup): MessageInitShape<typeof UsageGroupSchema> {
  const { keyId = "", model = "", provider = "", status, hour, day } = group;
  return {
    keyId,
    model,
    provider,
    status: status === undefined ? ProtoStatus.UNSPECIFIED : STATUSES[status],
    ...(hour && { hour: toTimestamp(hour) }),
    ...(day && { day: toTimestamp(day) }),
    ...toProtoTotals(group),
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

/** To the nano-USD. */
export function toProtoCharge(request: ListedRequest): MessageInitShape<typeof RequestChargeSchema> {
  const { id: requestId, keyId, status, costNanoUsd, createdAt } = request;
  return { requestId, keyId, status: STATUSES[status], costNanoUsd, createdAt: toTimestamp(createdAt) };
}

export function toProtoLoggedRequest(request: ListedRequest): MessageInitShape<typeof LoggedRequestSchema> {
  const { id, keyId, endpoint, model, provider, streamed, estimated, httpStatus, errorCode } = request;
  return {
    id,
    keyId,
    status: STATUSES[request.status],
    endpoint,
    model,
    provider,
    promptTokens: request.promptTokens,
    completionTokens: request.completionTokens,
    costMicroUsd: nanoToMicro(request.costNanoUsd),
    reservedMicroUsd: nanoToMicro(request.reservedNanoUsd),
    estimated,
    streamed,
    httpStatus,
    errorCode,
    deniedByPolicyId: request.deniedByPolicyId,
    deniedByBindingId: request.deniedByBindingId,
    deniedRule: request.deniedRule,
    shadowDenials: [...request.shadowDenials],
    createdAt: toTimestamp(request.createdAt),
    ...(request.completedAt && { completedAt: toTimestamp(request.completedAt) }),
  };
}

/** What is undefined is not set. */
export function toProtoReceipt({ receipt, ...request }: LoggedRequest): MessageInitShape<typeof ReceiptSchema> {
  const { price, cachedPromptTokens, reasoningTokens, admittedAt, firstTokenMs, upstreamMs } = receipt;
  const { guardrailDecisions, billedModel } = receipt;
  const totalMs = totalMsOf(request);
  const overrunNanoUsd = request.costNanoUsd - request.reservedNanoUsd;
  return {
    ...(price && { price: { ...price, requestPicoUsd: price.requestPicoUsd ?? 0n } }),
    ...(billedModel !== undefined && { billedModel }),
    ...(cachedPromptTokens !== undefined && { cachedPromptTokens }),
    ...(reasoningTokens !== undefined && { reasoningTokens }),
    ...(admittedAt && { admittedAt: toTimestamp(admittedAt) }),
    ...(firstTokenMs !== undefined && { timeToFirstTokenMs: firstTokenMs }),
    ...(upstreamMs !== undefined && { upstreamMs }),
    ...(totalMs !== undefined && { totalMs }),
    ...(guardrailDecisions.length > 0 && { guardrailDecisions: [...guardrailDecisions] }),
    ...(overrunNanoUsd > 0n && { overrunMicroUsd: nanoToMicro(overrunNanoUsd) }),
  };
}

/** Of what nobody told the end of, the time is that of its reservation, and no duration. A clock may have stepped back. */
function totalMsOf({ status, createdAt, completedAt }: Pick<LoggedRequest, "status" | "createdAt" | "completedAt">) {
  if (completedAt === undefined || status === "unknown") return undefined;
  return BigInt(Math.max(0, completedAt.getTime() - createdAt.getTime()));
}
