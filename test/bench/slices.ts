import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { GatewaySession } from "../../services/gateway/src/domain/admission/gateway-session.ts";
import { KeptDecisions } from "../../services/gateway/src/domain/admission/kept-decisions.ts";
import { createLocalAdmissions } from "../../services/gateway/src/domain/admission/local-admissions.ts";
import { SliceCalls } from "../../services/gateway/src/domain/admission/slice-calls.ts";
import type { AdmissionDecision } from "../../services/gateway/src/domain/ports/admissions.ts";
import type { GatewaySessions } from "../../services/gateway/src/domain/ports/gateway-sessions.ts";
import type { AppliedLimits } from "../../services/gateway/src/domain/ports/limit-directory.ts";

/**
 * Measures an admission on slices in the gateway process, and the end of its request, by the number of budgets that apply: the decision
 * alone, without HTTP, spool and events. The policy service is a function that grants everything.
 */

const WARM_UP = 50_000;
const REQUESTS = 200_000;

const grantEverything: GatewaySessions = {
  renew: async () => ({ state: "open", lengthMs: 30_000 }),
  close: async () => {},
  acquire: async (_, requests) => ({
    state: "open",
    grants: requests.map(({ counters }) => ({
      granted: true,
      counters: counters.map(({ granted, needed, wanted, doubt }) => ({
        granted: granted + needed + wanted,
        doubt,
        rate: undefined,
        remaining: 0,
        resetsAtMs: undefined,
      })),
    })),
  }),
};

async function measure(budgets: number): Promise<void> {
  const elapsed = () => performance.now();
  const session = new GatewaySession(newId("gws"), elapsed());
  session.expiresAtMs = Number.POSITIVE_INFINITY;
  const log = createLogger("bench", (line) => line, "silent");
  const calls = new SliceCalls({ session, sessions: grantEverything, clock: elapsed, log, onState: () => {} });
  const limits: AppliedLimits = {
    limits: Array.from({ length: budgets }, (_, n) => ({
      bindingId: `bnd_${n}`,
      dimension: "money" as const,
      limit: 0,
      isShadow: false,
      terms: "",
    })),
    isCentral: false,
    name: `${budgets} budgets`,
  };
  const held = { session, calls, recordOffset: 0 };
  const local = createLocalAdmissions({
    limits: { findLimits: () => limits },
    keeper: { current: held },
    kept: new KeptDecisions(elapsed, Date.now),
    elapsed,
    clock: Date.now,
  });
  const [namespaceId, lineage] = [newId("ns"), [newId("key")]];
  const price = { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n };
  const bounds = { inputTokensMax: 100, outputTokensMax: 100, choices: 1, refuseRatherThanLower: true };
  const end = (decision: AdmissionDecision | undefined): void => {
    if (decision?.admitted !== true || decision.slices === undefined) throw new Error("not admitted on slices");
    decision.slices.acknowledgeAdmission();
    decision.slices.end();
    decision.slices.settle(200_000n);
    decision.slices.markReported();
  };
  const times: number[] = [];
  let asked = 0;
  let cpuBefore = process.cpuUsage();
  for (let n = 0; n < WARM_UP + REQUESTS; n++) {
    if (n === WARM_UP) cpuBefore = process.cpuUsage();
    const requestId = newId("req");
    const startedAt = performance.now();
    const decision = local.admit({ namespaceId, requestId, lineage, price, ...bounds, idempotencyKey: undefined });
    const tookMs = performance.now() - startedAt;
    if (decision instanceof Promise) {
      asked++;
      end(await decision);
      continue;
    }
    end(decision);
    if (n >= WARM_UP) times.push(tookMs * 1_000);
    // Lets the answers to calls that were made ahead of need arrive.
    if (n % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
  const perRequest = ((user + system) / REQUESTS).toFixed(1);
  process.stdout.write(
    `${String(budgets).padStart(4)} budgets: ${perRequest} us of CPU a request, admission p50 ${at(0.5)} us, p99 ${at(0.99)} us; ` +
      `${asked} of ${WARM_UP + REQUESTS} waited for slices\n`,
  );
}

for (const budgets of [2, 20, 200]) await measure(budgets);
