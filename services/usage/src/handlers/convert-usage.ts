import type { MessageInitShape } from "@bufbuild/protobuf";
import { type UsageDifferenceSchema, UsageDimension, type UsageGroupSchema } from "@routeplane/contracts/usage";
import { nanoToMicro } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import type { UsageDifference } from "../domain/reconciliation.ts";
import type { Dimension, UsageGroup, UsageTotals } from "../domain/usage.ts";
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

/** Returns the dimension; none for UNSPECIFIED, which the contract refuses before. */
export function fromProtoDimension(dimension: UsageDimension): readonly Dimension[] {
  return DIMENSIONS[dimension];
}

/** Largest amount of the contract: 9.2 million million USD. */
const MAX_INT64 = 2n ** 63n - 1n;

export function toProtoTotals(totals: UsageTotals) {
  const { costNanoUsd, requestCount, promptTokens, completionTokens, deniedCount, deniedUnloggedCount } = totals;
  const exactMicroUsd = nanoToMicro(costNanoUsd);
  const spendMicroUsd = exactMicroUsd < MAX_INT64 ? exactMicroUsd : MAX_INT64;
  return { requestCount, promptTokens, completionTokens, spendMicroUsd, deniedCount, deniedUnloggedCount };
}

export function toProtoGroup(group: UsageGroup): MessageInitShape<typeof UsageGroupSchema> {
  const { keyId = "", model = "", provider = "", status, hour, day } = group;
  return {
    keyId,
    model,
    provider,
    status: toProtoStatus(status),
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
