import { type NatsAddress, readNatsAddress, readStreamSettings, type StreamSettings } from "@routeplane/events";
import { readTls, type ServiceTls } from "@routeplane/rpc";
import {
  type Environment,
  readEnvironment,
  readServerConfig,
  readTrustedProxies,
  type ServerConfig,
  type TrustedProxies,
  type Watched,
  type WatchedSecret,
} from "@routeplane/runtime";
import type { UnknownPrices } from "./domain/request/model-directory.ts";
import { MAX_RUNNING_REQUESTS, MAX_WAIT_MS } from "./domain/load/load-gate.ts";
import { parseOrigins } from "./handlers/cors.ts";
import { MAX_REPORT_WITHIN_MS, REPORT_WITHIN_MS } from "./domain/metering/report-queue.ts";
import { MAX_CONNECTIONS } from "./handlers/http-server.ts";
import { KeyFiles } from "./providers/key-files.ts";
import {
  DRAIN_TIMEOUT_SECS,
  readProcessCount,
  readWorkerPosition,
  spoolFolderOf,
  type WorkerPosition,
} from "./processes.ts";
import { loadProviders, type Provider } from "./providers/providers.ts";

export interface Config extends ServerConfig {
  /** TLS between services; undefined: clear text. */
  readonly tls: ServiceTls | undefined;
  /** Credential of the gateway at the other services. */
  readonly serviceToken: WatchedSecret;
  readonly authUrl: string;
  readonly policyUrl: string;
  readonly usageUrl: string;
  readonly nats: Watched<NatsAddress>;
  /** Names and bounds of the stream of usage events. */
  readonly stream: StreamSettings;
  /** Position of this process in a gateway of several; undefined if it is the only one. */
  readonly worker: WorkerPosition | undefined;
  /** Folder of this process's spool. Used by no other process; must outlive this one. */
  readonly spoolFolder: string;
  /** Bound of the bytes of this process's spool. */
  readonly spoolMaxBytes: number;
  /** Memory budget of the bodies of all requests. */
  readonly maxBodyBytes: number;
  /** Bound of the body of an inference request. */
  readonly maxRequestBytes: number;
  /** Bound of the inference requests that run or wait in this process. */
  readonly maxRunningRequests: number;
  /** Bound of the connections of clients to this process. */
  readonly maxConnections: number;
  /** Longest wait of an inference request for its start. */
  readonly maxWaitMs: number;
  /** Longest time within which the costs of a busy namespace's requests are reported to the policy service. */
  readonly reportWithinMs: number;
  /** Bound of the memory of verified keys. */
  readonly keyCacheBytes: number;
  /** Bound of the memory of guardrails. */
  readonly guardrailCacheBytes: number;
  /** Time for which a verified key or its guardrails are cached, unless a change ends it. */
  readonly cacheMaxAgeMs: number;
  /** Silence after which a stream gets a heart-beat, and the head of an answer that has not begun is sent. */
  readonly heartbeatMs: number;
  /** Origins whose pages may call the gateway from a browser. */
  readonly corsOrigins: readonly string[];
  /** Proxies that name the addresses of their clients. */
  readonly trustedProxies: TrustedProxies;
  /** Behaviour while NATS is disconnected: `spool` syncs events to the disk, `refuse` refuses requests. */
  readonly natsOutage: "spool" | "refuse";
  readonly providers: readonly Provider[];
  /** Loads the providers again, from their present file and key files. @throws ConfigurationError */
  readonly loadProviders: () => readonly Provider[];
  /** Files that the providers' keys were read from. */
  readonly keyFiles: KeyFiles;
}

const MEBIBYTE = 1024 ** 2;
const SPOOL_BYTES = { min: MEBIBYTE, max: 1024 ** 2 * MEBIBYTE, fallback: 1024 * MEBIBYTE };

/** Memory for request bodies. */
const BODY_BYTES = { min: 32 * MEBIBYTE, max: 64 * 1024 * MEBIBYTE, fallback: 512 * MEBIBYTE };
/** Bound of one body: at least what small programs send, and OpenAI's bound unless the memory is too small for it. */
const REQUEST_BYTES = { min: MEBIBYTE, max: 256 * MEBIBYTE, fallback: 50 * MEBIBYTE };
/**
 * Requests that run or wait. A silent stream takes 114 KiB, so the default takes 930 MiB, and with two connections each less than 20,000.
 */
const RUNNING_REQUESTS = { min: 16, max: 1_000_000, fallback: MAX_RUNNING_REQUESTS };
const CONNECTIONS = { min: 16, max: 1_000_000, fallback: MAX_CONNECTIONS };
/** Wait for a start, in milliseconds. */
const WAIT_MS = { min: 100, max: 60_000, fallback: MAX_WAIT_MS };
/** Longest wait of a settlement for others of its namespace, in milliseconds. At 2,000 requests/s, 5 s fill half of the queue of reports. */
const REPORT_MS = { min: REPORT_WITHIN_MS, max: MAX_REPORT_WITHIN_MS, fallback: MAX_REPORT_WITHIN_MS };
/** Memory of verified keys: a key takes 1 KB, so about 100,000 by default. */
const KEY_CACHE_BYTES = { min: MEBIBYTE, max: 16 * 1024 * MEBIBYTE, fallback: 128 * MEBIBYTE };
/** Memory of guardrails. The minimum is the size of the largest guardrails of one key. */
const GUARDRAIL_CACHE_BYTES = { min: 32 * MEBIBYTE, max: 16 * 1024 * MEBIBYTE, fallback: 128 * MEBIBYTE };
/** Life of a cached entry: minutes, because the change feed invalidates what has changed. */
const CACHE_MAX_AGE_SECS = { min: 1, max: 86_400, fallback: 900 };
/** 15 s by default: proxies and clients give up on a silent connection after 30 s and more. */
const HEARTBEAT_MS = { min: 100, max: 600_000, fallback: 15_000 };
/** Divisor of the memory for the bound of one body: a key alone gets a third of it, and a body is held as bytes and as text. */
const REQUEST_PART = 6;

/**
 * Reads the environment and the providers file.
 *
 * @throws ConfigurationError that lists every fault of the environment, or names the fault in the providers file
 */
export function readConfig(variables: Readonly<Record<string, string | undefined>>): Config {
  const { providersFile, echo, openAiApiKey, anthropicApiKey, unknownPrices, ...settings } = readEnvironment(
    variables,
    readSettings,
  );
  const keyFiles = new KeyFiles(variables, settings.secretFiles);
  const variable = (name: string): string | undefined => keyFiles.variable(name)?.trim() || undefined;
  const readKeyFile = (path: string): string => keyFiles.read(path);
  const sources = { file: providersFile, echo: echo === "on", unknownPrices, variable, readKeyFile };
  const load = (): readonly Provider[] =>
    loadProviders({ ...sources, openAiApiKey: openAiApiKey?.current, anthropicApiKey: anthropicApiKey?.current });
  for (const key of [openAiApiKey, anthropicApiKey]) key?.onChange(() => keyFiles.changed());
  return Object.freeze({
    ...settings,
    ...settingsOfWorker(settings),
    providers: load(),
    loadProviders: load,
    keyFiles,
  });
}

/**
 * Settings of a process that differ in a gateway of several: each has a part of the disk space and a spool folder of its own, and the
 * supervisor has the operations port.
 */
function settingsOfWorker(settings: Pick<Config, "worker" | "spoolFolder" | "spoolMaxBytes" | "operationsPorts">) {
  const { worker, spoolFolder, spoolMaxBytes, operationsPorts } = settings;
  const { index, count } = worker ?? { index: 1, count: 1 };
  return {
    spoolFolder: spoolFolderOf(spoolFolder, index),
    spoolMaxBytes: Math.max(SPOOL_BYTES.min, Math.floor(spoolMaxBytes / count)),
    operationsPorts: worker === undefined ? operationsPorts : [],
  };
}

function readSettings(env: Environment) {
  const http = ["http:", "https:"];
  const maxBodyBytes = env.integer("ROUTEPLANE_MAX_BODY_BYTES", BODY_BYTES);
  return {
    ...readServerConfig(env, DRAIN_TIMEOUT_SECS),
    tls: readTls(env),
    serviceToken: env.secret("ROUTEPLANE_SERVICE_TOKEN"),
    authUrl: env.url("ROUTEPLANE_AUTH_URL", http),
    policyUrl: env.url("ROUTEPLANE_POLICY_URL", http),
    usageUrl: env.url("ROUTEPLANE_USAGE_URL", http),
    nats: readNatsAddress(env),
    stream: readStreamSettings(env),
    worker: readWorkerPosition(env),
    processCount: readProcessCount(env),
    spoolFolder: env.text("ROUTEPLANE_SPOOL_DIR"),
    spoolMaxBytes: env.integer("ROUTEPLANE_SPOOL_MAX_BYTES", SPOOL_BYTES),
    maxBodyBytes,
    maxRequestBytes: readRequestBytes(env, maxBodyBytes),
    maxRunningRequests: env.integer("ROUTEPLANE_MAX_RUNNING_REQUESTS", RUNNING_REQUESTS),
    maxConnections: env.integer("ROUTEPLANE_MAX_CONNECTIONS", CONNECTIONS),
    maxWaitMs: env.integer("ROUTEPLANE_MAX_WAIT_MS", WAIT_MS),
    reportWithinMs: env.integer("ROUTEPLANE_REPORT_WITHIN_MS", REPORT_MS),
    keyCacheBytes: env.integer("ROUTEPLANE_KEY_CACHE_BYTES", KEY_CACHE_BYTES),
    guardrailCacheBytes: env.integer("ROUTEPLANE_GUARDRAIL_CACHE_BYTES", GUARDRAIL_CACHE_BYTES),
    cacheMaxAgeMs: env.integer("ROUTEPLANE_CACHE_MAX_AGE_SECS", CACHE_MAX_AGE_SECS) * 1_000,
    heartbeatMs: env.integer("ROUTEPLANE_HEARTBEAT_MS", HEARTBEAT_MS),
    corsOrigins: env.parsed(
      "ROUTEPLANE_CORS_ORIGINS",
      "must be origins separated by commas, e.g. https://app.example.com,http://localhost:3000",
      parseOrigins,
      "",
    ),
    trustedProxies: readTrustedProxies(env),
    natsOutage: env.parsed("ROUTEPLANE_WHEN_NATS_IS_AWAY", "must be spool or refuse", parseNatsOutage, "spool"),
    providersFile: env.optionalText("ROUTEPLANE_PROVIDERS"),
    echo: env.parsed("ROUTEPLANE_ECHO", "must be on or off", parseSwitch, "off"),
    openAiApiKey: env.optionalSecret("OPENAI_API_KEY"),
    anthropicApiKey: env.optionalSecret("ANTHROPIC_API_KEY"),
    unknownPrices: env.parsed("ROUTEPLANE_UNKNOWN_PRICES", "must be charge or refuse", parseUnknownPrices, "charge"),
  };
}

/** Reads the bound of one body, which must fit into the memory for all: else no request of that size could ever be served. */
function readRequestBytes(env: Environment, maxBodyBytes: number): number {
  const { min, max, fallback } = REQUEST_BYTES;
  // A faulty setting is undefined here; it is reported by itself.
  const memory = Number.isInteger(maxBodyBytes) ? maxBodyBytes : BODY_BYTES.fallback;
  const largest = Math.min(max, Math.floor(memory / REQUEST_PART));
  const rule = `must be a whole number from ${min} to ${max}, and at most a sixth of ROUTEPLANE_MAX_BODY_BYTES (${largest})`;
  const parse = (text: string): number | undefined => {
    const bytes = /^\d{1,12}$/.test(text) ? Number(text) : 0;
    return bytes >= min && bytes <= largest ? bytes : undefined;
  };
  return env.parsed("ROUTEPLANE_MAX_REQUEST_BYTES", rule, parse, String(Math.min(fallback, largest)));
}

function parseNatsOutage(text: string): Config["natsOutage"] | undefined {
  return text === "spool" || text === "refuse" ? text : undefined;
}

function parseUnknownPrices(text: string): UnknownPrices | undefined {
  return text === "charge" || text === "refuse" ? text : undefined;
}

function parseSwitch(text: string): "on" | "off" | undefined {
  return text === "on" || text === "off" ? text : undefined;
}
