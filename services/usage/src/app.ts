import type { ConnectRouter } from "@connectrpc/connect";
import { auditService, createAuditStore, USAGE_ACTIONS } from "@routeplane/audit";
import { AuditService, RequestHistoryService, UsageAdminService, UsageService } from "@routeplane/contracts/usage";
import { redactTokens, type ServiceCredentials } from "@routeplane/credentials";
import type { Clock } from "@routeplane/domain";
import { type Database, openDatabase, setSchemaCondition } from "@routeplane/postgres";
import {
  createVerifier,
  type HealthOptions,
  healthRoutes,
  publishedServices,
  serviceDependency,
  serviceTransport,
  type VerifyToken,
} from "@routeplane/rpc";
import { rpcChain, startRpcServer, warmValidation } from "@routeplane/rpc/server";
import {
  createLogger,
  Dependencies,
  type Logger,
  Readiness,
  type RunningProcess,
  startOperationsServer,
} from "@routeplane/runtime";
import { migrations } from "../migrations/index.ts";
import type { Config } from "./config.ts";
import { requestHistoryService } from "./handlers/request-history-service.ts";
import { usageAdminService } from "./handlers/usage-admin-service.ts";
import { usageService } from "./handlers/usage-service.ts";
import { createDeadLetterStore } from "./store/dead-letters.ts";
import { readInstallation } from "./store/installation.ts";
import { readLogPosition } from "./store/log-position.ts";
import { createReconciliationStore } from "./store/reconciliation.ts";
import type { UsageSchema } from "./store/schema.ts";
import { createUsageStore } from "./store/usage-store.ts";

/** Starts the query API. */
export async function startUsage(config: Config): Promise<RunningProcess> {
  const { authUrl, serviceToken, tls, serviceCredentials } = config;
  const log = createLogger("usage", redactTokens, config.logLevel);
  const readiness = new Readiness();
  const database = openDatabase<UsageSchema>({
    ...config.database,
    log,
    schema: "usage",
    migrations,
    applicationName: "routeplane-usage",
  });
  await database.requireProvisioned();
  const auth = serviceTransport({ url: authUrl, serviceToken, tls, log });
  const dependencies = new Dependencies([
    { name: "postgres", isReachable: () => database.isReachable() },
    serviceDependency("auth", auth, { optional: true }),
  ]);
  const operations = await startOperationsServer({ ...config, service: "usage", readiness, dependencies, log });
  const schema = setSchemaCondition(database, readiness, log);
  const verifier = createVerifier(auth, { log });
  warmValidation(publishedServices().usage);
  const wiring = wireUsage({
    serviceCredentials,
    database,
    verifyToken: verifier.verify,
    readiness,
    dependencies,
    log,
    clock: Date.now,
  });
  const server = await startRpcServer({ ...config, ...wiring });
  const secrets = config.secretFiles.watch(log);
  const pool = { name: database.name, stop: () => database.stop() };
  const drain = (signal: AbortSignal) => server.drain({ timeoutMs: config.drainTimeoutMs, signal });
  return { log, readiness, components: [operations, secrets, pool, schema, verifier, server], drain };
}

export interface UsageWiring extends HealthOptions {
  readonly serviceCredentials: ServiceCredentials;
  readonly database: Database<UsageSchema>;
  readonly verifyToken: VerifyToken;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Wires the query API without its process: routes, and the interceptor chain that every call passes through. */
export function wireUsage(wiring: UsageWiring) {
  const { serviceCredentials, database, verifyToken, readiness, dependencies, log, clock } = wiring;
  const health = healthRoutes({ readiness, dependencies });
  const routes = (router: ConnectRouter): void => {
    const usage = createUsageStore(database);
    router.service(UsageService, usageService(usage, clock));
    router.service(
      UsageAdminService,
      usageAdminService(usage, createDeadLetterStore(database), createReconciliationStore(database), clock),
    );
    router.service(
      RequestHistoryService,
      requestHistoryService(
        usage,
        () => readInstallation(database),
        () => readLogPosition(database),
        clock,
      ),
    );
    router.service(AuditService, auditService(createAuditStore(database), USAGE_ACTIONS));
    health(router);
  };
  return { routes, ...rpcChain({ log, serviceCredentials, verifyToken }) };
}
