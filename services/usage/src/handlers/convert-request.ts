import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type LoggedRequestSchema,
  type ReceiptSchema,
  type RequestChargeSchema,
  type RequestFilter as ProtoFilter,
  RequestStatus as ProtoStatus,
  type SessionRequestSchema,
} from "@routeplane/contracts/usage";
import { nanoToMicro, parseId, definedFields } from "@routeplane/domain";
import { fromTimeRange, toTimestamp } from "@routeplane/rpc";
import { totalMsOf } from "../domain/latency.ts";
import type { Position, RequestFilter } from "../domain/ports.ts";
import {
  attemptsOf,
  type DeniedAmounts,
  type ListedRequest,
  type LoggedRequest,
  type RequestStatus,
  type SessionRequest,
} from "../domain/request.ts";

const STATUSES: Readonly<Record<RequestStatus, ProtoStatus>> = {
  pending: ProtoStatus.PENDING,
  succeeded: ProtoStatus.SUCCEEDED,
  failed: ProtoStatus.FAILED,
  cancelled: ProtoStatus.CANCELLED,
  denied: ProtoStatus.DENIED,
  unknown: ProtoStatus.UNKNOWN,
};

const BY_STATUS = new Map(Object.entries(STATUSES).map(([status, proto]) => [proto, status as RequestStatus]));

export function toProtoStatus(status: RequestStatus | undefined): ProtoStatus {
  return status === undefined ? ProtoStatus.UNSPECIFIED : STATUSES[status];
}

export function fromProtoFilter(filter: ProtoFilter | undefined): RequestFilter {
  return {
    keyId: filter?.keyId || undefined,
    model: filter?.model || undefined,
    provider: filter?.provider || undefined,
    status: filter && BY_STATUS.get(filter.status),
    ...fromTimeRange(filter),
  };
}

/** Writes a position in the request log as the text of a page token. */
export function toPositionText({ createdAt, id }: Position): string {
  return `${createdAt.getTime()}.${id}`;
}

/** Reads the text of a page token; undefined if it is not a position in the request log. */
export function fromPositionText(text: string): Position | undefined {
  const [, timeMs = "", idText = ""] = /^(\d{1,15})\.(req_\w+)$/.exec(text) ?? [];
  const id = parseId("req", idText);
  return id && { createdAt: new Date(Number(timeMs)), id };
}

/** Converts the charge without rounding, in nano-USD. */
export function toProtoCharge(request: ListedRequest): MessageInitShape<typeof RequestChargeSchema> {
  const { id: requestId, keyId, status, costNanoUsd, createdAt } = request;
  return { requestId, keyId, status: STATUSES[status], costNanoUsd, createdAt: toTimestamp(createdAt) };
}

/** Converts the fields that are needed to charge the request, without rounding. */
export function toProtoSessionRequest(request: SessionRequest): MessageInitShape<typeof SessionRequestSchema> {
  const { id: requestId, status, createdAt, countedAt, expiresAt, ...fields } = request;
  return {
    ...fields,
    requestId,
    status: STATUSES[status],
    createdAt: toTimestamp(createdAt),
    ...definedFields({
      countedAt: countedAt && toTimestamp(countedAt),
      expiresAt: expiresAt && toTimestamp(expiresAt),
    }),
  };
}

/** Converts a row. A field with the same name in the contract and the domain needs no line here. */
export function toProtoLoggedRequest(request: ListedRequest): MessageInitShape<typeof LoggedRequestSchema> {
  const { costNanoUsd, reservedNanoUsd, shadowDenials, createdAt, completedAt, ...fields } = request;
  return {
    ...definedFields(fields),
    status: STATUSES[request.status],
    costMicroUsd: nanoToMicro(costNanoUsd),
    reservedMicroUsd: nanoToMicro(reservedNanoUsd),
    shadowDenials: [...shadowDenials],
    createdAt: toTimestamp(createdAt),
    ...(completedAt && { completedAt: toTimestamp(completedAt) }),
  };
}

/** Converts a receipt; undefined fields are not set. A field with the same name in the contract and the domain needs no line here. */
export function toProtoReceipt({ receipt, ...request }: LoggedRequest): MessageInitShape<typeof ReceiptSchema> {
  const { price, admittedAt, guardrailDecisions, attempts: _recorded, deniedAmounts, ...fields } = receipt;
  const attempts = attemptsOf({ ...request, receipt });
  const totalMs = totalMsOf(request);
  const overrunNanoUsd = request.costNanoUsd - request.reservedNanoUsd;
  return definedFields({
    ...fields,
    cachedPromptTokens: request.cachedPromptTokens,
    reasoningTokens: request.reasoningTokens,
    price: price && definedFields(price),
    admittedAt: admittedAt && toTimestamp(admittedAt),
    totalMs: totalMs === undefined ? undefined : BigInt(totalMs),
    guardrailDecisions: guardrailDecisions.length > 0 ? [...guardrailDecisions] : undefined,
    attempts: attempts.length > 0 ? attempts.map((attempt) => definedFields(attempt)) : undefined,
    deniedAmounts: deniedAmounts && toProtoDeniedAmounts(deniedAmounts),
    overrunMicroUsd: overrunNanoUsd > 0n ? nanoToMicro(overrunNanoUsd) : undefined,
  });
}

function toProtoDeniedAmounts({ retryAt, ...amounts }: DeniedAmounts) {
  return { ...amounts, ...(retryAt && { retryAt: toTimestamp(retryAt) }) };
}
