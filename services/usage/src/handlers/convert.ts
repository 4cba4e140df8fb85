import type { MessageInitShape } from "@bufbuild/protobuf";
import { type LoggedRequestSchema, RequestStatus as ProtoStatus } from "@routeplane/contracts/usage";
import { nanoToMicro } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import type { LoggedRequest, RequestStatus } from "../domain/request.ts";

const STATUSES: Readonly<Record<RequestStatus, ProtoStatus>> = {
  pending: ProtoStatus.PENDING,
  succeeded: ProtoStatus.SUCCEEDED,
  failed: ProtoStatus.FAILED,
  cancelled: ProtoStatus.CANCELLED,
  denied: ProtoStatus.DENIED,
  unknown: ProtoStatus.UNKNOWN,
};

export function toProtoLoggedRequest(request: LoggedRequest): MessageInitShape<typeof LoggedRequestSchema> {
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
