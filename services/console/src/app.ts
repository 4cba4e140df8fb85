import { redactTokens } from "@routeplane/credentials";
import type { Clock } from "@routeplane/domain";
import {
  createServiceRelay,
  type RelayedService,
  ServiceConnection,
  serviceDependency,
  serviceTransport,
} from "@routeplane/rpc";
import {
  createLogger,
  Dependencies,
  gauge,
  type Logger,
  Readiness,
  type RunningProcess,
  startOperationsServer,
} from "@routeplane/runtime";
import { createSessionAuthority } from "./clients/session-authority.ts";
import type { Config } from "./config.ts";
import { CallSlots } from "./domain/call-slots.ts";
import { FailureRate } from "./domain/failure-rate.ts";
import { ReplacedSessions } from "./domain/replaced-sessions.ts";
import { SessionSeal } from "./domain/session-seal.ts";
import { type AppFiles, loadAppFiles } from "./handlers/app-files.ts";
import { BrowserSessions } from "./handlers/browser-sessions.ts";
import { createHealthRoute } from "./handlers/health-route.ts";
import { startHttpServer } from "./handlers/http-server.ts";
import { createRelayRoute } from "./handlers/relay-route.ts";
import { createRouter } from "./handlers/router.ts";
import { createSessionRoutes } from "./handlers/session-routes.ts";
import { createStaticRoute } from "./handlers/static-route.ts";

export async function startConsole(config: Config): Promise<RunningProcess> {
  const log = createLogger("console", redactTokens, config.logLevel);
  const readiness = new Readiness();
  const files = await loadAppFiles(config.appFolder);
  const { handle, cancelStreams, dependencies, components } = wireConsole({ config, files, log, clock: Date.now });
  const operations = await startOperationsServer({ ...config, service: "console", readiness, dependencies, log });
  const server = await startHttpServer({ ...config, handle, cancelStreams });
  const secrets = config.secretFiles.watch(log);
  const drain = (signal: AbortSignal) => server.drain({ timeoutMs: config.drainTimeoutMs, signal });
  return { log, readiness, components: [operations, secrets, ...components, server], drain };
}

export interface ConsoleWiring {
  readonly config: Pick<
    Config,
    | "serviceToken"
    | "tls"
    | "authUrl"
    | "policyUrl"
    | "usageUrl"
    | "sealKeys"
    | "publicOrigin"
    | "trustedProxies"
    | "gatewayUrl"
  >;
  readonly files: AppFiles;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Deadline of the calls of this process. It is short, because a person waits for them. */
const CALL_TIMEOUT_MS = 10_000;

/** Wires the console without its process and its server. */
export function wireConsole({ config, files, log, clock }: ConsoleWiring) {
  const { serviceToken, sealKeys, publicOrigin, trustedProxies, gatewayUrl } = config;
  const urls = { auth: config.authUrl, policy: config.policyUrl, usage: config.usageUrl };
  const connections = openConnections(urls, { tls: config.tls, log });
  const transportTo = (service: RelayedService) =>
    serviceTransport({ url: urls[service], connection: connections[service], timeoutMs: CALL_TIMEOUT_MS, log });
  const asConsole = serviceTransport({
    url: urls.auth,
    connection: connections.auth,
    serviceToken,
    timeoutMs: CALL_TIMEOUT_MS,
    log,
  });
  const authority = createSessionAuthority({ asConsole, asCaller: transportTo("auth"), serviceToken });
  const relays = {
    auth: createServiceRelay("auth", connections.auth, serviceToken),
    policy: createServiceRelay("policy", connections.policy, serviceToken),
    usage: createServiceRelay("usage", connections.usage, serviceToken),
  };
  // Without auth nobody can sign in. Without another service, only its sections of the pages fail.
  const dependencies = new Dependencies([
    serviceDependency("auth", transportTo("auth")),
    serviceDependency("policy", transportTo("policy"), { optional: true }),
    serviceDependency("usage", transportTo("usage"), { optional: true }),
  ]);

  const monotonic = (): number => performance.now();
  const seal = new SessionSeal(sealKeys, clock);
  const sessions = new BrowserSessions({ seal, replaced: new ReplacedSessions(monotonic), clock });
  const slots = new CallSlots();
  registerMetrics(slots, files);
  const relay = createRelayRoute({ relays, sessions, slots });
  const session = createSessionRoutes({ authority, sessions, failures: new FailureRate(monotonic), gatewayUrl, log });
  const handle = createRouter({
    publicOrigin,
    trustedProxies,
    routes: {
      health: createHealthRoute(dependencies),
      session: session.session,
      namespace: session.namespace,
      relay: relay.handle,
      app: createStaticRoute(files),
    },
    log,
  });
  return { handle, cancelStreams: relay.cancelStreams, dependencies, components: Object.values(relays) };
}

/** Opens a connection to each service, shared by the relay and the calls of this process. */
function openConnections(
  urls: Readonly<Record<RelayedService, string>>,
  options: Pick<Config, "tls"> & { log: Logger },
) {
  const open = (service: RelayedService) => new ServiceConnection({ url: urls[service], ...options });
  return { auth: open("auth"), policy: open("policy"), usage: open("usage") };
}

function registerMetrics(slots: CallSlots, files: AppFiles): void {
  gauge({
    name: "routeplane_console_running_calls",
    help: "Calls of pages that are being relayed, by kind (unary, stream).",
    labels: ["kind"],
    read: () => (["unary", "stream"] as const).map((kind) => ({ labels: { kind }, value: slots.countOf(kind) })),
  });
  gauge({
    name: "routeplane_console_app_bytes",
    help: "Memory of the files of the app, in every coding.",
    read: () => files.bytes,
  });
}
