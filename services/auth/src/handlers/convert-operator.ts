import type { MessageInitShape } from "@bufbuild/protobuf";
import type { OperatorSchema } from "@routeplane/contracts/auth";
import { toTimestamp } from "@routeplane/rpc";
import type { Operator } from "../domain/operators/operator.ts";

export function toProtoOperator(operator: Operator): MessageInitShape<typeof OperatorSchema> {
  const { id, name, prefix, scopes, lineage, accountId, createdAt, expiresAt, revokedAt, revokedReason } = operator;
  return {
    id,
    name,
    prefix,
    scopes: [...scopes],
    parentId: lineage.at(-2) ?? "",
    accountId: accountId ?? "",
    createdAt: toTimestamp(createdAt),
    ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
    ...(revokedAt && { revokedAt: toTimestamp(revokedAt) }),
    revokedReason: revokedReason ?? "",
  };
}
