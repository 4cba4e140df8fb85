import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { auditService, createAuditStore, POLICY_ACTIONS } from "@routeplane/audit";
import * as contracts from "@routeplane/contracts/policy";
import { redactTokens } from "@routeplane/credentials";
import type { Clock } from "@routeplane/domain";
import type { PolicyKind } from "@routeplane/policy-spec";
import { type Database, openDatabase, setSchemaCondition, subscribeToChanges } from "@routeplane/postgres";
import {
  type ChangeFeed,
  createChangeFeed,
  createVerifier,
  type HealthOptions,
  healthRoutes,
  publishedServices,
  serviceDependency,
  serviceTransport,
} from "@routeplane/rpc";
import { mount, rpcChain, startGrpcServer, startRpcServer, warmValidation } from "@routeplane/rpc/server";
import {
  createLogger,
  Dependencies,
  type Logger,
  Readiness,
  type RunningProcess,
  startOperationsServer,
} from "@routeplane/runtime";
import { migrations } from "../migrations/index.ts";
import { cachedKeyDirectory } from "./clients/cached-key-directory.ts";
import { createChargeLog } from "./clients/charge-log.ts";
import { createRequestHistory } from "./clients/request-history.ts";
import { createKeyDirectory } from "./clients/key-directory.ts";
import { createMintDirectory } from "./clients/mint-directory.ts";
import { createRevocationLog } from "./clients/revocation-log.ts";
import { createSessionLog } from "./clients/session-log.ts";
import type { Config } from "./config.ts";
import { createAdmission } from "./domain/admission/admission.ts";
import { createServiceAdmission } from "./domain/admission/service-admission.ts";
import { createRecalls } from "./domain/admission/recalls.ts";
import { createReadEffectivePolicy } from "./domain/effective/read-effective-policy.ts";
import { createDescribeBindings, createDescribePolicies } from "./domain/policies/described-policy.ts";
import { createBindMintedLimits } from "./domain/policies/minted-limits.ts";
import { createManagement } from "./domain/policies/management.ts";
import { createRequireValidSpec } from "./domain/policies/spec-rules.ts";
import { createRemoveRevokedBindings } from "./domain/policies/revoked-bindings.ts";
import { createEndings } from "./domain/sessions/endings.ts";
import { createGatewaySessions } from "./domain/sessions/gateway-sessions.ts";
import { createEndMissedRenewals } from "./domain/sessions/missed-renewals.ts";
import { RateSharers } from "./domain/sessions/rate-sharers.ts";
import { SESSION_LENGTH_MS } from "./domain/sessions/session.ts";
import { createSimulatePolicy } from "./domain/simulation/simulate-policy.ts";
import { budgetAdminService } from "./handlers/budget-admin-service.ts";
import { admissionService, countRecallWait } from "./handlers/admission-service.ts";
import { effectivePolicyService } from "./handlers/effective-policy-service.ts";
import { enforcementService } from "./handlers/enforcement-service.ts";
import { gatewaySessionService } from "./handlers/gateway-session-service.ts";
import { policyService } from "./handlers/policy-service.ts";
import { typedPolicies } from "./handlers/typed-policies.ts";
import { budgetService, guardrailService, presetService, rateLimitService } from "./handlers/typed-services.ts";
import { simulationService } from "./handlers/simulation-service.ts";
import { endSessions, observeSessions, releaseClosedSessions } from "./jobs/end-sessions.ts";
import { observeOpenReservations, partitionReservations } from "./jobs/partition-reservations.ts";
import { observeLostSessions, reportEndings, settleSessions } from "./jobs/settle-sessions.ts";
import { removeRevokedBindings } from "./jobs/remove-revoked-bindings.ts";
import { createAppliedPolicies } from "./store/applied-policies.ts";
import { createBindingStore } from "./store/binding-store.ts";
import { createCounterReader } from "./store/counters.ts";
import { createBudgetRecords } from "./store/reconciliation.ts";
import { createEndingStore } from "./store/ending-store.ts";
import { createLedger } from "./store/ledger.ts";
import { createPolicyStore } from "./store/policy-store.ts";
import { createAnnounceRecall, parseRecall, RECALL_CHANNEL } from "./store/recall-channel.ts";
import { createReportStore } from "./store/report-store.ts";
import { createReservationPartitions } from "./store/reservation-partitions.ts";
import type { PolicySchema } from "./store/schema.ts";
import { createSessionStore } from "./store/session-store.ts";
import { createSliceStore } from "./store/slice-store.ts";

/** Maximum time of a maintenance statement: one of them scans the whole table of reservations of an earlier release, once. */
const MAINTENANCE_TIMEOUT_MS = 60 * 60_000;

/** Time after which a reconciliation sweeps no further lost session: well below its deadline. */
const SWEEP_TIME_MS = 2_000;

export async function startPolicy(config: Config): Promise<RunningProcess> {
  const log = createLogger("policy", redactTokens, config.logLevel);
  const readiness = new Readiness();
  const database = openDatabase<PolicySchema>({
    ...config.database,
    log,
    schema: "policy",
    migrations,
    applicationName: "routeplane-policy",
    keepPlans: true,
    genericPlans: true,
  });
  await database.requireProvisioned();
  const { serviceToken, tls } = config;
  const auth = serviceTransport({ url: config.authUrl, serviceToken, tls, log });
  const usage = serviceTransport({ url: config.usageUrl, serviceToken, tls, log });
  const dependencies = new Dependencies([
    { name: "postgres", isReachable: () => database.isReachable() },
    serviceDependency("auth", auth, { optional: true }),
    serviceDependency("usage", usage, { optional: true }),
  ]);
  const operations = await startOperationsServer({ ...config, service: "policy", readiness, dependencies, log });
  const schema = setSchemaCondition(database, readiness, log);
  const changes = createChangeFeed();
  const subscription = subscribeToChanges({
    url: config.database.listenUrl,
    log,
    schema: "policy",
    listener: changes,
    second: { channel: RECALL_CHANNEL, onNotification: (payload) => changes.recall(parseRecall(payload)) },
    onLost: (cause) => log.warn({ err: cause }, "connection to the change feed lost"),
  });
  warmValidation(publishedServices().policy);
  const { verifier, removeRevoked, endings, ...served } = wirePolicy({
    config,
    database,
    changes,
    auth,
    usage,
    readiness,
    dependencies,
    log,
    clock: Date.now,
  });
  const server = await startRpcServer({ ...config, ...served });
  const grpcServer = await startGrpcServer({ ...config, ...served, port: config.grpcPort });
  // Watches never end by themselves: they are ended before the servers wait for their calls.
  const watches = { name: "watches of changes", stop: async () => changes.close() };
  const drain = async (signal: AbortSignal): Promise<void> => {
    changes.close();
    const options = { timeoutMs: config.drainTimeoutMs, signal };
    await Promise.all([server.drain(options), grpcServer.drain(options)]);
  };
  const pool = { name: database.name, stop: () => database.stop() };
  const maintenance = openDatabase<PolicySchema>({
    ...config.database,
    schema: "policy",
    applicationName: "routeplane-policy-maintenance",
    poolSize: 1,
    statementTimeoutMs: MAINTENANCE_TIMEOUT_MS,
  });
  observeOpenReservations(createReservationPartitions(database));
  const [sessions, slices] = [createSessionStore(database), createSliceStore(database)];
  observeSessions(sessions, slices);
  observeLostSessions(createEndingStore(database));
  const monotonic = () => performance.now();
  const jobs = [
    { name: maintenance.name, stop: () => maintenance.stop() },
    removeRevokedBindings(removeRevoked, verifier.feed, log),
    partitionReservations(createReservationPartitions(maintenance), createLedger(database), log),
    endSessions(createEndMissedRenewals(sessions, SESSION_LENGTH_MS, monotonic), log),
    releaseClosedSessions(sessions, slices, log),
    settleSessions(endings, log),
  ];
  const secrets = config.secretFiles.watch(log);
  return {
    log,
    readiness,
    components: [operations, secrets, pool, schema, subscription, verifier, ...jobs, server, grpcServer, watches],
    drain,
  };
}

export interface PolicyWiring extends HealthOptions {
  readonly config: Pick<Config, "serviceCredentials" | "reservationTtlMs">;
  /** Time for which a gateway session is valid without a renewal; `SESSION_LENGTH_MS` by default. */
  readonly sessionLengthMs?: number;
  /** Times after which the log is asked again for a settled session; `SWEEPS_AFTER_MS` by default. */
  readonly sweepsAfterMs?: readonly number[];
  readonly database: Database<PolicySchema>;
  readonly changes: ChangeFeed;
  /** Transport to the auth service. */
  readonly auth: Transport;
  /** Transport to the usage service. */
  readonly usage: Transport;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Wires the service without its process: routes, gRPC services, the interceptor chain, the verifier to be stopped, and its job. */
export function wirePolicy(wiring: PolicyWiring) {
  const { config, database, changes, auth, usage, readiness, dependencies, log, clock } = wiring;
  const { serviceCredentials, reservationTtlMs } = config;
  const { sessionLengthMs = SESSION_LENGTH_MS } = wiring;
  const policies = createPolicyStore(database);
  const bindings = createBindingStore(database);
  const keys = createKeyDirectory(auth);
  const requireValidSpec = createRequireValidSpec();
  const management = createManagement({ policies, bindings, keys, requireValidSpec, clock });
  const applied = createAppliedPolicies(database);
  const counterReader = createCounterReader(database);
  const mints = createMintDirectory(auth);
  const bindMintedLimits = createBindMintedLimits({ policies, applied, mints, requireValidSpec, clock });
  const { read: readEffective, readOfKey } = createReadEffectivePolicy({ applied, counterReader, keys });
  const describe = createDescribePolicies(bindings, counterReader);
  const describeBindings = createDescribeBindings(counterReader);
  const typed = <Kind extends PolicyKind>(kind: Kind) => typedPolicies(kind, policies, management, describe);
  const simulate = createSimulatePolicy({
    policies,
    keys,
    history: createRequestHistory(usage),
    requireValidSpec,
    clock,
  });
  const rateSharers = new RateSharers(() => performance.now());
  const recalls = createRecalls({
    announce: createAnnounceRecall(database),
    withoutRateSlices: (bindingId, counter) => rateSharers.withoutSlices(bindingId, counter),
    monotonic: () => performance.now(),
    onWait: countRecallWait,
  });
  const verifier = createVerifier(auth, { log });
  const ledgerAdmission = createAdmission(createLedger(database), reservationTtlMs, recalls);
  const keysOfServices = cachedKeyDirectory(keys, verifier.feed);
  const admission = admissionService(ledgerAdmission, createServiceAdmission(ledgerAdmission, keysOfServices, clock));
  const sessions = createGatewaySessions({
    sessions: createSessionStore(database),
    slices: createSliceStore(database),
    reports: createReportStore(database),
    rateSharers,
    onFault: ({ namespaceId, cause }) =>
      log.warn({ err: cause, namespaceId }, "slices or settlement reports of a namespace failed"),
  });
  const endings = createEndings({
    endings: createEndingStore(database),
    sessions: createSessionStore(database),
    slices: createSliceStore(database),
    reports: createReportStore(database),
    log: createSessionLog(usage),
    ...reportEndings(log),
    sweepsAfterMs: wiring.sweepsAfterMs,
  });

  const routes = (router: ConnectRouter): void => {
    router.service(
      contracts.PolicyService,
      policyService({ policies, management, bindMintedLimits, describe, describeBindings }),
    );
    router.service(contracts.BudgetService, budgetService(typed("budget")));
    router.service(contracts.GuardrailService, guardrailService(typed("guardrail")));
    router.service(contracts.RateLimitService, rateLimitService(typed("rate_limit")));
    router.service(contracts.PresetService, presetService(typed("preset")));
    router.service(contracts.AdmissionService, admission);
    router.service(contracts.GatewaySessionService, gatewaySessionService(sessions, sessionLengthMs));
    router.service(contracts.EffectivePolicyService, effectivePolicyService(readEffective, readOfKey));
    router.service(contracts.SimulationService, simulationService(simulate));
    router.service(contracts.EnforcementService, enforcementService(applied, changes));
    const sweepSessions = () => endings.sweepNow(SWEEP_TIME_MS);
    const reconciled = { budgets: createBudgetRecords(database), log: createChargeLog(usage), keys, sweepSessions };
    router.service(contracts.BudgetAdminService, budgetAdminService(reconciled, clock));
    router.service(contracts.AuditService, auditService(createAuditStore(database), POLICY_ACTIONS));
    healthRoutes({ readiness, dependencies })(router);
  };
  const services = [mount(contracts.AdmissionService, admission)];
  const chain = rpcChain({ log, serviceCredentials, verifyToken: verifier.verify });
  const removeRevoked = createRemoveRevokedBindings(createRevocationLog(auth), bindings, clock);
  return { routes, services, readiness, dependencies, ...chain, verifier, removeRevoked, endings };
}
