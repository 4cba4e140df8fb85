import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { databaseUrl, isMigrated, type RoleName } from "@routeplane/postgres";
import { serviceTransport } from "@routeplane/rpc";
import { AGGREGATOR_NODE_OPTIONS, USAGE_NODE_OPTIONS } from "@routeplane/runtime";
import type { Addresses, Service } from "./addresses.ts";
import { CHECKOUT } from "./home.ts";
import type { Gateway } from "./gateways.ts";
import type { Command } from "./process/command.ts";
import type { ProcessSpec } from "./process/supervise.ts";
import type { ServiceProgram } from "./service-bundle.ts";
import { type NodeSecrets, planOf, serviceCredentialsOf } from "./secrets.ts";
import { natsUrl } from "./servers/nats.ts";
import type { NatsUser } from "./servers/nats-users.ts";

type Variables = Readonly<Record<string, string | undefined>>;

export interface RoleOptions {
  /** Folder with the spool of each gateway. */
  readonly spool: string;
  /** Folder with the pid files. */
  readonly run: string;
  readonly addresses: Addresses;
  /** Address of the first gateway. */
  readonly gatewayUrl: string;
  readonly secrets: NodeSecrets;
  /** Program of the services. */
  readonly program: ServiceProgram;
  /** Environment of the process that runs the node. */
  readonly environment: Variables;
  /** Variables that mark a process as started by this node. */
  readonly mark: (role: string) => Record<string, string>;
}

const HOST = "127.0.0.1";
/** Variables that set the default names for the stream of the node's own NATS, even if the environment has names for another NATS. */
const DEFAULT_STREAM = {
  ROUTEPLANE_NATS_STREAM: "",
  ROUTEPLANE_NATS_SUBJECT_PREFIX: "",
  ROUTEPLANE_NATS_PARTITIONS: "",
  ROUTEPLANE_NATS_REPLICAS: "",
};
const MAX_GATEWAY_PROCESSES = 4;
const PROBE_TIMEOUT_MS = 1_000;
/** Time limit of a stop. Longer than the 5 s and 10 s that a service has to drain and to stop: it is killed only if it hangs. */
const STOP_TIMEOUT_MS = 16_000;
/**
 * Time limit of a start, from when all roles that the process needs are ready. It is generous for busy machines, because a process that
 * exits fails the start immediately anyway.
 */
const START_TIMEOUT_MS = 120_000;

/** The services that own a schema. */
export const MIGRATED = ["auth", "policy", "usage"] as const;

/** Command that migrates the schema of a service, and ends. */
export function migrationCommand(service: (typeof MIGRATED)[number], options: RoleOptions): Command {
  return nodeCommand(`migrate-${service}`, options, {
    ROUTEPLANE_MIGRATION_DATABASE_URL: databaseUrlOf(`routeplane_${service}_owner`, options),
  });
}

/** True if the schema of a service has all migrations of this checkout. */
export async function isSchemaMigrated(
  service: (typeof MIGRATED)[number],
  options: Pick<RoleOptions, "addresses" | "secrets">,
): Promise<boolean> {
  const files = await readdir(join(CHECKOUT, `services/${service}/migrations`));
  const known = files.flatMap((file) => /^(\d{4}_\w+)\.ts$/.exec(file)?.[1] ?? []);
  return isMigrated({ url: databaseUrlOf(`routeplane_${service}_owner`, options), schema: service, known });
}

export function serviceSpec(service: Service, options: RoleOptions): ProcessSpec {
  const { addresses } = options;
  const port = addresses.services[service];
  const command = nodeCommand(service, options, {
    ROUTEPLANE_HOST: HOST,
    ROUTEPLANE_PORT: `${port}`,
    ROUTEPLANE_OPERATIONS_PORT: `${addresses.operations[service]}`,
    ROUTEPLANE_DATABASE_URL: databaseUrlOf(`routeplane_${service}`, options),
    ...settingsOf(options, ["ROUTEPLANE_DATABASE_POOL_SIZE", "ROUTEPLANE_DATABASE_STATEMENT_TIMEOUT_MS"]),
    ...ownVariables(service, options),
  });
  return nodeSpec(service, command, healthProbe(port));
}

/** Specification of a gateway. No other process gets the whole environment, which holds the keys of the providers. */
export function gatewaySpec({ role, port, operationsPort }: Gateway, options: RoleOptions): ProcessSpec {
  const { spool, run, addresses, secrets, environment, mark } = options;
  const command = nodeCommand("gateway", options, {
    ...definedOf(environment),
    ...mark(role),
    ROUTEPLANE_HOST: HOST,
    ROUTEPLANE_PORT: `${port}`,
    ROUTEPLANE_OPERATIONS_PORT: `${operationsPort}`,
    ROUTEPLANE_SERVICE_TOKEN: secrets.serviceTokens.gateway,
    ROUTEPLANE_AUTH_URL: urlOf(addresses.services.auth),
    ROUTEPLANE_POLICY_URL: urlOf(addresses.services.policy),
    ROUTEPLANE_USAGE_URL: urlOf(addresses.services.usage),
    ROUTEPLANE_NATS_URL: brokerUrl("gateway", options),
    ...DEFAULT_STREAM,
    ROUTEPLANE_SPOOL_DIR: join(spool, role),
    ROUTEPLANE_GATEWAY_PROCESSES: processesOfGateway(environment["ROUTEPLANE_GATEWAY_PROCESSES"]),
    ROUTEPLANE_WORKER_PID_PREFIX: join(run, role),
    // A node on one machine is stopped or restarted by hand: no other gateway takes over meanwhile.
    ROUTEPLANE_DRAIN_TIMEOUT_SECS: environment["ROUTEPLANE_DRAIN_TIMEOUT_SECS"]?.trim() || "3",
    ROUTEPLANE_ECHO: environment["ROUTEPLANE_ECHO"]?.trim() || "on",
  });
  // The gateway is started at once and waits for these roles by itself. SIGINT stops it without a drain.
  const needs = ["auth", "policy", "nats"];
  return { ...nodeSpec(role, command, () => answersHealthz(port)), stopSignal: "SIGINT", needs };
}

/** Specification of the console. @param appFolder folder of the built app */
export function consoleSpec(port: number, appFolder: string, options: RoleOptions): ProcessSpec {
  const { addresses, secrets, gatewayUrl } = options;
  const command = nodeCommand("console", options, {
    ROUTEPLANE_HOST: HOST,
    ROUTEPLANE_PORT: `${port}`,
    ROUTEPLANE_OPERATIONS_PORT: `${addresses.operations.console}`,
    ROUTEPLANE_SERVICE_TOKEN: secrets.serviceTokens.console,
    ROUTEPLANE_AUTH_URL: urlOf(addresses.services.auth),
    ROUTEPLANE_POLICY_URL: urlOf(addresses.services.policy),
    ROUTEPLANE_USAGE_URL: urlOf(addresses.services.usage),
    ROUTEPLANE_CONSOLE_KEYS: secrets.consoleKeys,
    ROUTEPLANE_CONSOLE_DIR: appFolder,
    ROUTEPLANE_GATEWAY_URL: gatewayUrl,
    ...consoleUrlOf(options),
    ROUTEPLANE_DRAIN_TIMEOUT_SECS: "0",
  });
  // Like a gateway, it waits by itself for the role that it needs.
  return { ...nodeSpec("console", command, () => answersHealthz(port)), needs: ["auth"] };
}

/** Variable with the address of the console, as people open it: on this machine, unless the environment says otherwise. */
function consoleUrlOf({ addresses, environment }: RoleOptions): Record<string, string> {
  const { console: port } = addresses;
  if (port === undefined) return {};
  return { ROUTEPLANE_CONSOLE_URL: environment["ROUTEPLANE_CONSOLE_URL"]?.trim() || urlOf(port) };
}

/**
 * Number of processes of a gateway on one machine: 1 by default, at most 4. A text that is not a number is passed on, for the gateway to
 * refuse.
 */
function processesOfGateway(wanted: string | undefined): string {
  const text = wanted?.trim() || "1";
  return Number(text) > MAX_GATEWAY_PROCESSES ? String(MAX_GATEWAY_PROCESSES) : text;
}

/** Variables that every process gets. */
export function commonVariables(role: string, { environment, mark }: Pick<RoleOptions, "environment" | "mark">) {
  const passed = ["PATH", "HOME", "TZ", "LANG", "ROUTEPLANE_LOG_LEVEL"];
  return {
    ...settingsOf({ environment }, passed),
    ...mark(role),
  };
}

export function urlOf(port: number): string {
  return `http://${HOST}:${port}`;
}

function ownVariables(service: Service, options: RoleOptions): Record<string, string> {
  const { addresses, secrets } = options;
  const accepted = { ROUTEPLANE_SERVICE_CREDENTIALS: serviceCredentialsOf(secrets) };
  const tokenOf = (caller: "policy" | "usage") => ({ ROUTEPLANE_SERVICE_TOKEN: secrets.serviceTokens[caller] });
  const authUrl = { ROUTEPLANE_AUTH_URL: urlOf(addresses.services.auth) };
  const policyUrl = { ROUTEPLANE_POLICY_URL: urlOf(addresses.services.policy) };
  const usageUrl = { ROUTEPLANE_USAGE_URL: urlOf(addresses.services.usage) };
  const reservations = settingsOf(options, ["ROUTEPLANE_HOLD_TTL_SECS"]);
  const retention = settingsOf(options, [
    "ROUTEPLANE_RETENTION_DAYS",
    "ROUTEPLANE_ROLLUP_RETENTION_DAYS",
    "ROUTEPLANE_DAILY_PARTITIONS_FROM_GIB",
  ]);
  const cache = settingsOf(options, ["ROUTEPLANE_KEY_CACHE_BYTES", "ROUTEPLANE_CACHE_MAX_AGE_SECS"]);
  const metrics = settingsOf(options, ["ROUTEPLANE_METRICS_PORT"]);
  const bounds = settingsOf(options, ["ROUTEPLANE_NATS_MAX_BYTES", "ROUTEPLANE_NATS_MAX_AGE_HOURS"]);
  const broker = { ROUTEPLANE_NATS_URL: brokerUrl("aggregator", options), ...bounds };
  const variables: Record<Service, Record<string, string>> = {
    auth: {
      ...accepted,
      ...policyUrl,
      ...cache,
      ...consoleUrlOf(options),
      ROUTEPLANE_KEY_PEPPERS: secrets.keyPeppers,
      ROUTEPLANE_GRPC_PORT: `${addresses.grpc.auth}`,
    },
    policy: {
      ...accepted,
      ...tokenOf("policy"),
      ...authUrl,
      ...usageUrl,
      ...reservations,
      ROUTEPLANE_GRPC_PORT: `${addresses.grpc.policy}`,
    },
    usage: { ...accepted, ...tokenOf("usage"), ...authUrl, NODE_OPTIONS: USAGE_NODE_OPTIONS },
    aggregator: { ...broker, ...retention, ...metrics, NODE_OPTIONS: AGGREGATOR_NODE_OPTIONS },
  };
  return variables[service];
}

/** Command of a role of the services, with the common variables and its own. */
function nodeCommand(role: string, options: RoleOptions, own: Record<string, string>): Command {
  const { program, environment } = options;
  const variables = {
    ...commonVariables(role, options),
    // The compile cache of Node.js saves a third of the CPU time of a start.
    NODE_COMPILE_CACHE: environment["NODE_COMPILE_CACHE"] || program.compileCache,
    MALLOC_ARENA_MAX: environment["MALLOC_ARENA_MAX"] || "1",
    MALLOC_TRIM_THRESHOLD_: environment["MALLOC_TRIM_THRESHOLD_"] || "131072",
    ...own,
  };
  return { executable: process.execPath, args: [program.entry, role], environment: variables, channel: true };
}

function nodeSpec(role: string, command: Command, isReady: () => Promise<boolean>): ProcessSpec {
  const limits = { startTimeoutMs: START_TIMEOUT_MS, stopTimeoutMs: STOP_TIMEOUT_MS };
  return { role, command, isReady, stopSignal: "SIGTERM", ...limits };
}

function brokerUrl(user: NatsUser, { addresses, secrets }: RoleOptions): string {
  return natsUrl({ port: addresses.nats, password: secrets.natsPassword, passwords: secrets.natsPasswords }, user);
}

function databaseUrlOf(role: RoleName, { addresses, secrets }: Pick<RoleOptions, "addresses" | "secrets">): string {
  return databaseUrl(planOf(secrets), role, { host: HOST, port: addresses.postgres });
}

function healthProbe(port: number): () => Promise<boolean> {
  const health = createClient(Health, serviceTransport({ url: urlOf(port), timeoutMs: PROBE_TIMEOUT_MS }));
  return async () => {
    try {
      return (await health.check({})).status === Status.SERVING;
    } catch {
      return false;
    }
  };
}

async function answersHealthz(port: number): Promise<boolean> {
  try {
    const response = await fetch(`${urlOf(port)}/healthz`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    await response.body?.cancel();
    return response.status === 200;
  } catch {
    return false;
  }
}

/** The variables of the node's environment with these names. */
function settingsOf(
  { environment }: Pick<RoleOptions, "environment">,
  names: readonly string[],
): Record<string, string> {
  return definedOf(Object.fromEntries(names.map((name) => [name, environment[name]])));
}

function definedOf(variables: Variables): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}
