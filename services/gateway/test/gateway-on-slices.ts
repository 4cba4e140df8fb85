import type { Transport } from "@connectrpc/connect";
import { type Id, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { createAdmissions } from "../src/clients/admissions.ts";
import { createGatewaySessions } from "../src/clients/gateway-sessions.ts";
import { createGuardrailDirectory } from "../src/clients/guardrail-directory.ts";
import { createSettlementReports } from "../src/clients/settlement-reports.ts";
import { KeptDecisions } from "../src/domain/admission/kept-decisions.ts";
import { createLocalAdmissions } from "../src/domain/admission/local-admissions.ts";
import { SessionKeeper } from "../src/domain/admission/session-keeper.ts";
import { reportOneByOne } from "../src/domain/metering/report-one-by-one.ts";
import { createSettlements } from "../src/domain/metering/settlements.ts";
import type { AdmissionDecision } from "../src/domain/ports/admissions.ts";
import { fakeUsageLog } from "./fake-usage-log.ts";
import { sampleFacts, sampleSettlement } from "./sample-usage.ts";

/** One output token costs one micro-USD: a bound in micro-USD is the output bound. */
const PRICE = { inputPicoUsd: 0n, outputPicoUsd: 1_000_000n };

/** Request that was admitted, by slices or by the policy service. */
export interface OpenRequest {
  readonly decision: AdmissionDecision;
  readonly isOnSlices: boolean;
  /** Settles the request at a cost in micro-USD. */
  settle(costMicroUsd: number): void;
}

/**
 * Admission and settlement of one gateway process, over a policy service; its usage log acknowledges at once.
 *
 * @param policy transport that calls as a service and listens to changes
 */
export function startGatewayOnSlices(policy: Transport, elapsed: () => number = () => performance.now()) {
  const lines: string[] = [];
  const log = createLogger("gateway", (line) => (lines.push(line), ""), "error");
  const usageLog = fakeUsageLog();
  const admissions = createAdmissions(policy);
  const sessions = createGatewaySessions(policy, "test");
  const directory = createGuardrailDirectory(policy, { onRecall: (ids) => keeper.recall(ids) });
  const kept = new KeptDecisions(elapsed, Date.now);
  const settlements = createSettlements({
    onReported: ({ namespaceId, neverSent }) => kept.free(namespaceId, neverSent),
    admissions,
    reports: createSettlementReports(policy, reportOneByOne(admissions, log)),
    usageLog,
    closeSession: (sessionId, isComplete) => sessions.close(sessionId, isComplete),
    log,
  });
  const keeper = new SessionKeeper({ sessions, records: usageLog, elapsed, log });
  const local = createLocalAdmissions({ limits: directory, keeper, kept, elapsed, clock: Date.now });

  const listApplied = (namespaceId: Id<"ns">, lineage: readonly Id<"key">[]) => {
    const keyId = lineage.at(-1) ?? newId("key");
    return directory.listApplied({ kind: "key", scopes: ["inference:invoke"], namespaceId, keyId, lineage });
  };

  return {
    keeper,
    usageLog,
    /** Lines of its log about errors. */
    lines,
    listApplied,
    /** Limits of a key as it knows them now. */
    limitsOf: (namespaceId: Id<"ns">, keyId: Id<"key">) => directory.findLimits({ namespaceId, keyId }),
    /** Admits a request with this bound; a denied one has the decision of the policy service. */
    async admit(namespaceId: Id<"ns">, lineage: readonly Id<"key">[], boundMicroUsd: number): Promise<OpenRequest> {
      const keyId = lineage.at(-1) ?? newId("key");
      await listApplied(namespaceId, lineage);
      const facts = sampleFacts({ namespaceId, keyId });
      const { requestId } = facts;
      const bounds = { price: PRICE, inputTokensMax: 0, outputTokensMax: boundMicroUsd, choices: 1 };
      const request = { namespaceId, requestId, lineage, ...bounds, refuseRatherThanLower: false };
      const onSlices = await local.admit({ ...request, idempotencyKey: undefined });
      const askPolicy = async (): Promise<AdmissionDecision> => {
        const keep = local.ask({ ...request, idempotencyKey: undefined });
        const answer = await admissions.admit({ ...request, idempotencyKey: undefined });
        keep(answer);
        return answer;
      };
      const decision = onSlices ?? (await askPolicy());
      const slices = decision.admitted ? decision.slices : undefined;
      slices?.acknowledgeAdmission();
      const settle = (costMicroUsd: number): void => {
        const settlement = sampleSettlement({
          costNanoUsd: BigInt(costMicroUsd) * 1_000n,
          promptTokens: 0,
          completionTokens: costMicroUsd,
        });
        const hasReservation = decision.admitted && decision.expiresAt !== undefined;
        const state = { hasReservation, neverSent: false, pendingRelease: undefined, slices };
        if (decision.admitted) settlements.settle(facts, settlement, state);
      };
      return { decision, isOnSlices: onSlices?.admitted === true, settle };
    },
    async stop(): Promise<void> {
      await settlements.stop();
      await keeper.stop();
      await directory.stop();
    },
  };
}
