import { hostname } from "node:os";
import type { Clock } from "@routeplane/domain";
import { type EventPublisher, openPublisher } from "@routeplane/events";
import {
  createAuthenticate,
  createServiceRelay,
  createVerifier,
  type RelayedService,
  ServiceConnection,
  serviceDependency,
  serviceTransport,
} from "@routeplane/rpc";
import {
  type Component,
  createLogger,
  Dependencies,
  endWithSupervisor,
  gauge,
  type Logger,
  Readiness,
  runPeriodically,
  type RunningProcess,
  startOperationsServer,
} from "@routeplane/runtime";
import { createAdmissions } from "./clients/admissions.ts";
import { createTokenCounter } from "./clients/token-counter.ts";
import { createGuardrailDirectory } from "./clients/guardrail-directory.ts";
import { createInstallation } from "./clients/installation.ts";
import { createGatewaySessions } from "./clients/gateway-sessions.ts";
import { createSettlementReports } from "./clients/settlement-reports.ts";
import { createReadOwnKey } from "./clients/own-key.ts";
import { createUsageLog } from "./clients/usage-log.ts";
import type { Config } from "./config.ts";
import { createDenialRecorder } from "./domain/metering/denial-recorder.ts";
import { createGuards } from "./domain/guardrails/guard.ts";
import { createPipeline } from "./domain/pipeline.ts";
import type { PendingSettlement } from "./domain/ports/usage-log.ts";
import type { ServedProviders } from "./domain/provider-set.ts";
import type { SecretRedactor } from "./domain/response/secret-redactor.ts";
import type { Upstream } from "./domain/ports/upstream.ts";
import { createElapsedClock } from "./domain/admission/elapsed-clock.ts";
import { KeptDecisions } from "./domain/admission/kept-decisions.ts";
import { createLocalAdmissions } from "./domain/admission/local-admissions.ts";
import { SessionKeeper } from "./domain/admission/session-keeper.ts";
import { reportOneByOne } from "./domain/metering/report-one-by-one.ts";
import { createSettlements } from "./domain/metering/settlements.ts";
import { LoadGate } from "./domain/load/load-gate.ts";
import { BodyBudget } from "./handlers/body-budget.ts";
import { healthRoute } from "./handlers/health.ts";
import { startHttpServer } from "./handlers/http-server.ts";
import { inferenceRoutes } from "./handlers/inference.ts";
import { managementRoutes, unknownMethod } from "./handlers/management.ts";
import { modelsRoutes } from "./handlers/models.ts";
import { ownKeyRoute } from "./handlers/own-key.ts";
import { createRouter, type Route } from "./handlers/router.ts";
import { LoadedProviders, warnOfProviders } from "./providers/loaded-providers.ts";
import type { Provider } from "./providers/providers.ts";
import { createEchoUpstream } from "./upstreams/echo-upstream.ts";
import { createHttpUpstream } from "./upstreams/http-upstream.ts";
import { redactingUpstream } from "./upstreams/redacting-upstream.ts";

export async function startGateway(config: Config): Promise<RunningProcess> {
  const { providers, loadProviders: load, worker } = config;
  if (worker !== undefined) endWithSupervisor();

  const loaded = new LoadedProviders({ providers, load, open: openUpstream, clock: Date.now });
  const redact = (text: string): string => loaded.redact(text);
  const log = createLogger("gateway", redact, config.logLevel, worker && { process: worker.index });
  warnOfProviders(providers, log);
  const { nats, stream: settings, spoolFolder: folder, spoolMaxBytes: maxBytes, natsOutage } = config;
  const { usageUrl: url, serviceToken, tls } = config;
  const installation = createInstallation(serviceTransport({ url, serviceToken, tls, log }));
  const readiness = new Readiness();
  const stream = {
    nats: nats.current,
    latestNats: nats,
    settings,
    installation,
    ownStream: readiness.condition("stream"),
  };
  const publisher = openPublisher({
    ...stream,
    log,
    name: worker === undefined ? "gateway" : `gateway-${worker.index}`,
    folder,
    maxBytes,
    natsOutage,
  });
  const { routes, components, dependencies } = wireGateway({
    config,
    publisher,
    providers: loaded,
    log,
    clock: Date.now,
  });
  const operations = await startOperationsServer({ ...config, service: "gateway", readiness, dependencies, log });
  const spool = setSpoolCondition(publisher, readiness, log);
  const bodies = new BodyBudget(config.maxBodyBytes);
  const loadGate = new LoadGate({ maxRunning: config.maxRunningRequests, maxWaitMs: config.maxWaitMs });
  registerMetrics(publisher, bodies, loadGate);
  const router = createRouter({ ...config, routes, unknownMethod, bodies, loadGate, redact, log, clock: Date.now });
  const server = await startHttpServer({ ...config, ...router, sharesPort: worker !== undefined });
  config.keyFiles.onChange(() => loaded.reload(log));
  const secrets = config.secretFiles.watch(log);
  const all = [operations, secrets, publisher, spool, loaded, ...components, server];
  const drain = (signal: AbortSignal) => server.drain({ timeoutMs: config.drainTimeoutMs, signal });
  return { log, readiness, components: all, drain, reload: () => loaded.reload(log) };
}

export interface GatewayWiring {
  readonly config: Pick<
    Config,
    | "serviceToken"
    | "tls"
    | "authUrl"
    | "policyUrl"
    | "usageUrl"
    | "natsOutage"
    | "reportWithinMs"
    | "maxRequestBytes"
    | "trustedProxies"
    | "heartbeatMs"
    | "keyCacheBytes"
    | "guardrailCacheBytes"
    | "cacheMaxAgeMs"
    | "spoolFolder"
  >;
  readonly publisher: EventPublisher;
  readonly providers: ServedProviders;
  readonly log: Logger;
  readonly clock: Clock;
}

export interface Gateway {
  /** All routes that the gateway serves. */
  readonly routes: readonly Route[];
  /** Components in the order of their start; stopped in reverse, after the server. */
  readonly components: readonly Component[];
  readonly dependencies: Dependencies;
}

/** Wires the gateway without its process and its server. Only the pipeline gets the upstreams. */
export function wireGateway({ config, publisher, providers, log, clock }: GatewayWiring): Gateway {
  const gatewayName = `${hostname()}:${config.spoolFolder}`;
  const { authUrl, policyUrl, usageUrl } = config;
  const caller = { serviceToken: config.serviceToken, tls: config.tls, log };
  const auth = serviceTransport({ url: authUrl, ...caller });
  const policy = serviceTransport({ url: policyUrl, ...caller });
  const management = openManagement({ auth: authUrl, policy: policyUrl, usage: usageUrl }, caller);

  const { keyCacheBytes, guardrailCacheBytes, cacheMaxAgeMs: maxAgeMs } = config;
  const verifier = createVerifier(auth, { clock, log, maxBytes: keyCacheBytes, maxAgeMs });
  const onRecall = (bindingIds: readonly string[]): void => keeper.recall(bindingIds);
  const guardrails = createGuardrailDirectory(policy, { maxBytes: guardrailCacheBytes, maxAgeMs, onRecall });
  const admissions = createAdmissions(policy);
  const usageLog = createUsageLog(publisher);
  const reports = createSettlementReports(policy, reportOneByOne(admissions, log));
  const sessions = createGatewaySessions(policy, gatewayName);
  const closeSession: typeof sessions.close = (sessionId, isComplete) => sessions.close(sessionId, isComplete);
  const elapsed = createElapsedClock();
  const kept = new KeptDecisions(elapsed, clock);
  const onReported = ({ namespaceId, neverSent }: PendingSettlement): void => kept.free(namespaceId, neverSent);
  const settlements = createSettlements({
    admissions,
    reports,
    usageLog,
    closeSession,
    onReported,
    log,
    reportWithinMs: config.reportWithinMs,
  });
  const keeper = new SessionKeeper({ sessions, records: usageLog, elapsed, log });
  const localAdmissions = createLocalAdmissions({ limits: guardrails, keeper, kept, elapsed, clock });
  const denialRecorder = createDenialRecorder({ usageLog, settlements, log, clock });
  const tokenCounter = createTokenCounter(log);
  tokenCounter.load(providers.current.directory.models.map(({ tokenizer }) => tokenizer));
  const { verify: verifyKey, subscribe: subscribeToKey } = verifier;
  const guardOf = createGuards(guardrails);
  const serve = createPipeline({
    subscribeToKey,
    providers,
    guardOf,
    localAdmissions,
    admissions,
    usageLog,
    settlements,
    denialRecorder,
    tokenCounter,
    log,
    clock,
    heartbeatMs: config.heartbeatMs,
  });

  const dependencies = new Dependencies([
    serviceDependency("auth", auth),
    serviceDependency("policy", policy),
    { name: "nats", optional: config.natsOutage === "spool", isReachable: () => publisher.isReachable() },
    { name: "spool", isReachable: () => Promise.resolve(publisher.acceptsNew()) },
    ...management.dependencies,
  ]);
  const { maxRequestBytes, trustedProxies } = config;
  const routes = [
    ...inferenceRoutes({ serve, maxRequestBytes }),
    ...modelsRoutes({ verifyKey, guardOf, providers }),
    ownKeyRoute({ verifyKey, readOwnKey: management.readOwnKey, trustedProxies }),
    ...managementRoutes({ relays: management.relays, authenticate: createAuthenticate(verifyKey), trustedProxies }),
    healthRoute(dependencies),
  ];
  return {
    routes,
    components: [
      ...Object.values(management.relays),
      verifier,
      guardrails,
      keeper,
      settlements,
      denialRecorder,
      tokenCounter,
    ],
    dependencies,
  };
}

function registerMetrics(publisher: EventPublisher, bodies: BodyBudget, loadGate: LoadGate): void {
  gauge({
    name: "routeplane_gateway_spool_bytes",
    help: "Bytes of the spool on the disk.",
    read: () => publisher.spoolBytes(),
  });
  gauge({
    name: "routeplane_gateway_body_bytes",
    help: "Memory that the bodies of running requests take, of ROUTEPLANE_MAX_BODY_BYTES.",
    read: () => bodies.bytes,
  });
  gauge({
    name: "routeplane_gateway_running_requests",
    help: "Inference requests that run or wait for their start, of ROUTEPLANE_MAX_RUNNING_REQUESTS.",
    read: () => loadGate.running,
  });
  gauge({
    name: "routeplane_gateway_waiting_requests",
    help: "Inference requests that wait for their start because the process has more to do than it can.",
    read: () => loadGate.waiting,
  });
}

const SPOOL_CHECK_MS = 250;

/** Sets the readiness condition `spool`: met while new requests can be recorded. */
function setSpoolCondition(publisher: EventPublisher, readiness: Readiness, log: Logger): Component {
  const condition = readiness.condition("spool");
  return runPeriodically({
    name: "check the spool",
    everyMs: SPOOL_CHECK_MS,
    retryMs: SPOOL_CHECK_MS,
    log,
    async run() {
      if (publisher.hasSpace()) condition.pass();
      else condition.fail("the spool is full or cannot be written");
      return false;
    },
  });
}

/** Identity of the gateway at the services. */
interface ServiceCallerOptions extends Pick<Config, "serviceToken" | "tls"> {
  readonly log: Logger;
}

/**
 * Opens the relays of the management API, each with a connection of its own, so that outside callers cannot exhaust those of
 * inference; the reader of clients' own keys, which uses the same connections; and their dependencies for `/healthz`, which are
 * optional, because inference works without them.
 */
function openManagement(urls: Readonly<Record<RelayedService, string>>, caller: ServiceCallerOptions) {
  const { serviceToken, ...options } = caller;
  const connections = {
    auth: new ServiceConnection({ url: urls.auth, ...options }),
    policy: new ServiceConnection({ url: urls.policy, ...options }),
    usage: new ServiceConnection({ url: urls.usage, ...options }),
  };
  const relays = {
    auth: createServiceRelay("auth", connections.auth, serviceToken),
    policy: createServiceRelay("policy", connections.policy, serviceToken),
    usage: createServiceRelay("usage", connections.usage, serviceToken),
  };
  const open = (connection: ServiceConnection) => serviceTransport({ url: connection.authority, connection });
  const transports = { auth: open(connections.auth), policy: open(connections.policy), usage: open(connections.usage) };
  const dependencies = Object.entries(transports).map(([name, transport]) =>
    serviceDependency(`management_${name}`, transport, { optional: true }),
  );
  return { relays, readOwnKey: createReadOwnKey({ ...transports, serviceToken }), dependencies };
}

function openUpstream({ upstream }: Provider, secrets: SecretRedactor): Upstream {
  const opened = upstream === "echo" ? createEchoUpstream(Date.now) : createHttpUpstream(upstream);
  return redactingUpstream(opened, secrets);
}
