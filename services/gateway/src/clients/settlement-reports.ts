import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  GatewaySessionService,
  ReportOutcome as ProtoOutcome,
  type SettlementReportSchema,
  UnknownEndSchema,
} from "@routeplane/contracts/policy";
import { fromConnectError, toTimestamp } from "@routeplane/rpc";
import type { ReportOutcome, SettlementReports } from "../domain/ports/settlement-reports.ts";
import type { PendingSettlement } from "../domain/ports/usage-log.ts";

/** Time after which a policy service without bulk reports is asked again. */
const RETRY_BULK_MS = 60_000;

const OUTCOMES: Partial<Record<ProtoOutcome, ReportOutcome>> = {
  [ProtoOutcome.DONE]: "done",
  [ProtoOutcome.REFUSED]: "refused",
};

/**
 * Creates the client that reports settlements in bulk.
 *
 * @param policy transport to the policy service
 * @param oneByOne client of a policy service of a release without bulk reports
 * @param monotonic clock in milliseconds
 */
export function createSettlementReports(
  policy: Transport,
  oneByOne: SettlementReports,
  monotonic = () => performance.now(),
): SettlementReports {
  const client = createClient(GatewaySessionService, policy);
  let bulkFrom = Number.NEGATIVE_INFINITY;
  return {
    async report(settlements) {
      if (monotonic() < bulkFrom) return oneByOne.report(settlements);
      try {
        const { outcomes } = await client.reportSettlements({ reports: settlements.map(toProtoReport) });
        return outcomes.map((outcome) => OUTCOMES[outcome] ?? "again");
      } catch (error) {
        if (ConnectError.from(error).code !== Code.Unimplemented) throw fromConnectError(error, "policy");
        bulkFrom = monotonic() + RETRY_BULK_MS;
        return oneByOne.report(settlements);
      }
    },
  };
}

type ProtoReport = MessageInitShape<typeof SettlementReportSchema>;

function toProtoReport(settlement: PendingSettlement): ProtoReport {
  const { namespaceId, keyId, requestId, slices } = settlement;
  const end = toProtoEnd(settlement);
  if (slices === undefined) return { namespaceId, keyId, requestId, end };
  const { sessionId, limitSet, countedAt, boundNanoUsd, tokensMax } = slices;
  const bounds = { boundNanoUsd, tokensMax: BigInt(tokensMax) };
  const counted = countedAt && { countedAt: toTimestamp(countedAt) };
  return { namespaceId, keyId, requestId, sessionId, limitSet, ...counted, ...bounds, end };
}

function toProtoEnd(settlement: PendingSettlement): NonNullable<ProtoReport["end"]> {
  const { costNanoUsd, tokens, neverSent, isUnknown = false } = settlement;
  if (isUnknown) return { case: "unknown", value: create(UnknownEndSchema) };
  if (costNanoUsd === 0n && tokens === 0) return { case: "released", value: { neverSent } };
  return { case: "settled", value: { costNanoUsd, tokens: BigInt(tokens) } };
}
