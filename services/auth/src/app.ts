import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { AUTH_ACTIONS, auditService, createAuditStore } from "@routeplane/audit";
import * as contracts from "@routeplane/contracts/auth";
import { parseToken, redactTokens } from "@routeplane/credentials";
import type { Clock } from "@routeplane/domain";
import { type Database, openDatabase, setSchemaCondition, subscribeToChanges } from "@routeplane/postgres";
import {
  type ChangeFeed,
  createChangeFeed,
  createLocalVerifier,
  type HealthOptions,
  healthRoutes,
  publishedServices,
  requirePrincipal,
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
import { createLimitBinder } from "./clients/limit-binder.ts";
import type { Config } from "./config.ts";
import { createBootstrap } from "./domain/bootstrap.ts";
import { createKeyLifecycle } from "./domain/keys/key-lifecycle.ts";
import { createOperatorLifecycle } from "./domain/operators/operator-lifecycle.ts";
import { createServiceCredentialLifecycle } from "./domain/service-credentials/service-credential-lifecycle.ts";
import { createSessionLifecycle } from "./domain/sessions/session-lifecycle.ts";
import { createVerify } from "./domain/verification.ts";
import { accountService } from "./handlers/account-service.ts";
import { identityService } from "./handlers/identity-service.ts";
import { toPrincipal } from "./handlers/convert-verification.ts";
import { bootstrapService } from "./handlers/bootstrap-service.ts";
import { verificationService } from "./handlers/verification-service.ts";
import { createWatchForService } from "./handlers/watch-for-service.ts";
import { keyService } from "./handlers/key-service.ts";
import { namespaceService } from "./handlers/namespace-service.ts";
import { operatorService } from "./handlers/operator-service.ts";
import { sessionService } from "./handlers/session-service.ts";
import { serviceCredentialService } from "./handlers/service-credential-service.ts";
import { createAccountStore } from "./store/account-store.ts";
import { createLimitedKeyStore } from "./store/limited-key-store.ts";
import { createKeyStore } from "./store/key-store.ts";
import { createNamespaceStore } from "./store/namespace-store.ts";
import { createNodeStore } from "./store/node-store.ts";
import { createOperatorStore } from "./store/operator-store.ts";
import { createRevocationLog } from "./store/revocation-log.ts";
import { createServiceCredentialStore } from "./store/service-credential-store.ts";
import { createSessionStore } from "./store/session-store.ts";
import type { AuthSchema } from "./store/schema.ts";
import { createSecretStore } from "./store/secret-store.ts";

export async function startAuth(config: Config): Promise<RunningProcess> {
  const log = createLogger("auth", redactTokens, config.logLevel);
  const readiness = new Readiness();
  const database = openDatabase<AuthSchema>({
    ...config.database,
    log,
    schema: "auth",
    migrations,
    applicationName: "routeplane-auth",
    keepPlans: true,
  });
  await database.requireProvisioned();
  const policy = serviceTransport({ url: config.policyUrl, tls: config.tls, log });
  // Without policy: it depends on auth itself, so that each would check the other for ever.
  const dependencies = new Dependencies([{ name: "postgres", isReachable: () => database.isReachable() }]);
  const operations = await startOperationsServer({ ...config, service: "auth", readiness, dependencies, log });
  const schema = setSchemaCondition(database, readiness, log);
  const changes = createChangeFeed();
  const subscription = subscribeToChanges({
    url: config.database.listenUrl,
    log,
    schema: "auth",
    listener: changes,
    onLost: (cause) => log.warn({ err: cause }, "connection to the change feed lost"),
  });
  warmValidation(publishedServices().auth);
  const wired = wireAuth({ config, database, changes, policy, readiness, dependencies, log, clock: Date.now });
  const server = await startRpcServer({ ...config, ...wired });
  const grpcServer = await startGrpcServer({ ...config, ...wired, port: config.grpcPort });
  // Watches never end by themselves: they are ended before the servers wait for running calls.
  const watches = { name: "change watches", stop: async () => changes.close() };
  const drain = async (signal: AbortSignal): Promise<void> => {
    changes.close();
    const options = { timeoutMs: config.drainTimeoutMs, signal };
    await Promise.all([server.drain(options), grpcServer.drain(options)]);
  };
  const pool = { name: database.name, stop: () => database.stop() };
  const secrets = config.secretFiles.watch(log);
  const components = [operations, secrets, pool, schema, subscription, server, grpcServer, watches];
  return { log, readiness, components, drain };
}

export interface AuthWiring extends HealthOptions {
  readonly config: Pick<Config, "serviceCredentials" | "peppers" | "keyCacheBytes" | "cacheMaxAgeMs" | "consoleUrl">;
  readonly database: Database<AuthSchema>;
  readonly changes: ChangeFeed;
  /** Transport to the policy service, without a credential: each call carries that of the caller. */
  readonly policy: Transport;
  readonly log: Logger;
  readonly clock: Clock;
  /** Monotonic clock; `performance.now` by default. Milliseconds. */
  readonly monotonic?: () => number;
}

/** The service without its process: the routes that it serves and the chain of interceptors that every call passes through. */
export function wireAuth(wiring: AuthWiring) {
  const { config, database, changes, policy, readiness, dependencies, log, clock } = wiring;
  const { monotonic = () => performance.now() } = wiring;
  const stores = {
    keys: createKeyStore(database),
    limitedKeys: createLimitedKeyStore(database),
    accounts: createAccountStore(database),
    namespaces: createNamespaceStore(database),
    nodes: createNodeStore(database),
    secrets: createSecretStore(database),
    operators: createOperatorStore(database),
    serviceCredentials: createServiceCredentialStore(database),
    sessions: createSessionStore(database),
  };
  const { keys, limitedKeys, accounts, namespaces, operators, sessions } = stores;
  const { peppers, serviceCredentials, consoleUrl } = config;
  const ports = { ...stores, peppers, clock };
  const verify = createVerify(ports);
  const keyLifecycle = createKeyLifecycle(ports);
  const operatorLifecycle = createOperatorLifecycle(ports);
  const serviceLifecycle = createServiceCredentialLifecycle(ports);
  const sessionLifecycle = createSessionLifecycle(ports);
  const bootstrap = createBootstrap(ports);

  // Callers of this service are verified in the database at every call, except service credentials, which call often. VerifyKey uses a
  // cache.
  const verifyUncached = async (token: string) => toPrincipal(await verify(token));
  const cache = { maxBytes: config.keyCacheBytes, maxAgeMs: config.cacheMaxAgeMs };
  const verifier = createLocalVerifier({ verifyUncached, changes, clock, monotonic, ...cache });
  const verifyToken = async (token: string) =>
    parseToken(token)?.kind === "service" ? requirePrincipal(await verifier.verify(token, 0n)) : verifyUncached(token);
  const watchForService = createWatchForService({ verifyToken, changes, clock });
  const revocations = createRevocationLog(database);
  const verification = verificationService({ verifier, keys, limitedKeys, changes, watchForService, revocations });
  const routes = (router: ConnectRouter): void => {
    router.service(contracts.KeyService, keyService(keys, keyLifecycle, createLimitBinder(policy)));
    router.service(contracts.AccountService, accountService(accounts, clock));
    router.service(contracts.NamespaceService, namespaceService(accounts, namespaces, clock));
    router.service(contracts.OperatorService, operatorService(operators, operatorLifecycle));
    const services = serviceCredentialService(stores.serviceCredentials, serviceLifecycle);
    router.service(contracts.ServiceCredentialService, services);
    const sessionRoutes = sessionService({ sessions, lifecycle: sessionLifecycle, consoleUrl, clock });
    router.service(contracts.SessionService, sessionRoutes);
    router.service(contracts.IdentityService, identityService(stores));
    router.service(contracts.AuditService, auditService(createAuditStore(database), AUTH_ACTIONS));
    router.service(contracts.VerificationService, verification);
    router.service(contracts.BootstrapService, bootstrapService(bootstrap));
    healthRoutes({ readiness, dependencies })(router);
  };
  const services = [mount(contracts.VerificationService, verification)];
  return { routes, services, readiness, dependencies, ...rpcChain({ log, serviceCredentials, verifyToken }) };
}
