import type { UsageEvent } from "@routeplane/contracts/events";
import { redactTokens } from "@routeplane/credentials";
import { DomainError } from "@routeplane/domain";
import { openConsumer } from "@routeplane/events";
import { openDatabase, setSchemaCondition } from "@routeplane/postgres";
import { healthRoutes } from "@routeplane/rpc";
import { rpcChain, startRpcServer } from "@routeplane/rpc/server";
import { createLogger, Dependencies, Readiness, type RunningProcess, startOperationsServer } from "@routeplane/runtime";
import { migrations } from "../migrations/index.ts";
import type { AggregatorConfig } from "./config.ts";
import { countEvents, registerMetrics } from "./consumers/aggregator-metrics.ts";
import { expireRequests } from "./jobs/expire-requests.ts";
import { createPartitions, dropExpiredPartitions } from "./jobs/retention.ts";
import { decodeEvents, placeOfEvent } from "./consumers/decode-events.ts";
import { replayDeadLetters } from "./jobs/replay-dead-letters.ts";
import { handleUnreadableMessage, handleUsageEvents } from "./consumers/usage-events.ts";
import { createAggregatorRegistry } from "./store/aggregator-registry.ts";
import { createDeadLetterBox } from "./store/dead-letters.ts";
import { readInstallation } from "./store/installation.ts";
import { createLogPositionMarks } from "./store/log-position.ts";
import { createRequestLog } from "./store/request-log.ts";
import type { UsageSchema } from "./store/schema.ts";

/** Number of messages that are written in one transaction. */
const BATCH_MESSAGES = 200;

/** Starts the aggregator: records usage events from NATS in Postgres. Its RPC port serves only health checks. */
export async function startAggregator(config: AggregatorConfig): Promise<RunningProcess> {
  const { nats, stream, retentionDays } = config;
  const log = createLogger("aggregator", redactTokens, config.logLevel);
  const readiness = new Readiness();
  const database = openDatabase<UsageSchema>({
    ...config.database,
    log,
    schema: "usage",
    migrations,
    applicationName: "routeplane-aggregator",
    keepPlans: true,
  });
  await database.requireProvisioned();
  const requests = createRequestLog(database);
  const deadLetters = createDeadLetterBox(database);
  const recorder = { requests, retentionDays, clock: Date.now };
  const jobs = [
    createPartitions(requests, config.dailyPartitionsFromBytes, log),
    expireRequests(requests, log),
    dropExpiredPartitions(requests, config, log),
    replayDeadLetters(recorder, deadLetters, log),
  ];
  const consumer = openConsumer<UsageEvent>({
    nats: nats.current,
    latestNats: nats,
    settings: stream,
    ownStream: readiness.condition("stream"),
    installation: () => readInstallation(database),
    replicas: createAggregatorRegistry(database),
    log,
    name: "aggregator",
    durable: "usage-aggregator",
    batch: BATCH_MESSAGES,
    read: decodeEvents,
    placeOf: placeOfEvent,
    onBatch: countEvents(handleUsageEvents(recorder, deadLetters, log)),
    onUnreadable: handleUnreadableMessage(deadLetters, log),
    position: createLogPositionMarks(database),
  });
  registerMetrics(consumer, deadLetters);
  const dependencies = new Dependencies([
    { name: "postgres", isReachable: () => database.isReachable() },
    { name: "nats", isReachable: () => consumer.isReachable() },
  ]);
  const operations = await startOperationsServer({ ...config, service: "aggregator", readiness, dependencies, log });
  const schema = setSchemaCondition(database, readiness, log);
  const chain = rpcChain({ log, serviceCredentials: { callerOf: () => undefined }, verifyToken: refuseEveryToken });
  const server = await startRpcServer({ ...config, ...chain, routes: healthRoutes({ readiness, dependencies }) });
  log.info({ port: server.port }, "health server started");
  const pool = { name: database.name, stop: () => database.stop() };
  const secrets = config.secretFiles.watch(log);
  return { log, readiness, components: [operations, secrets, pool, schema, ...jobs, consumer, server] };
}

/** Verifier for a process without methods that require a credential. */
function refuseEveryToken(): Promise<never> {
  return Promise.reject(new DomainError("unauthenticated", "CREDENTIAL_INVALID", "this process accepts no credential"));
}
