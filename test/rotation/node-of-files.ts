import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Transport } from "@connectrpc/connect";
import { BootstrapService, KeyService } from "@routeplane/contracts/auth";
import { ALL_SCOPES, mintToken } from "@routeplane/credentials";
import { serviceTransport } from "@routeplane/rpc";
import { constant } from "@routeplane/runtime";
import { reservePorts } from "@routeplane/standalone";
import {
  cloneDatabase,
  createAuthority,
  eventually,
  type IssuedCertificate,
  startNats,
  type TestAuthority,
  type TestDatabase,
  type TestNats,
} from "@routeplane/testing";
import pg from "pg";
import { bundle } from "../../deploy/bundle.ts";
import type { ConsoleAddress } from "../fleet/console-client.ts";
import { createHosts } from "../fleet/hosts.ts";
import { newSecret, SecretVolume } from "./secret-volume.ts";
import { startKeyedUpstream, type KeyedUpstream } from "./keyed-upstream.ts";

/** Roles in the order of their start. */
export const ROLES = ["auth", "policy", "usage", "aggregator", "gateway", "console"] as const;
export type Role = (typeof ROLES)[number];
export const CALLERS = ["gateway", "policy", "usage", "console", "installer"] as const;
/** Roles that have a login at the database. */
export const DATABASE_ROLES = ["auth", "policy", "usage", "aggregator"] as const;

/** Changes of secrets, by role and name of the variable. */
export type SecretChanges = Partial<Record<Role, Readonly<Record<string, string>>>>;

export interface RoleProcess {
  readonly role: Role;
  readonly address: string;
  readonly pid: number;
  /** Output so far, of both streams. */
  readonly output: () => string;
  stop(): Promise<number | null>;
}

/** Processes of every role, with all secrets in files, mutual TLS between them, and a provider that accepts only some keys. */
export interface NodeOfFiles {
  readonly database: TestDatabase;
  /** Connection of the superuser. */
  readonly admin: pg.Client;
  readonly nats: TestNats;
  readonly upstream: KeyedUpstream;
  /** Authority that every process trusts now. */
  authority: TestAuthority;
  readonly processes: readonly RoleProcess[];
  readonly gatewayUrls: readonly string[];
  readonly consoles: readonly ConsoleAddress[];
  readonly operationsUrls: readonly string[];
  readonly operatorToken: string;
  readonly apiKey: string;
  /** Prefix of the roles of this node in the database. */
  readonly loginPrefix: string;
  readonly port: number;
  secretsOf(role: Role): Readonly<Record<string, string>>;
  /** Replaces secrets in the files, and waits until every process of these roles has logged the replacement. */
  replace(changes: SecretChanges, line?: string): Promise<void>;
  issue(authority: TestAuthority): IssuedCertificate;
  /** Transport to the first process of a service, with a certificate of `authority`. */
  transport(role: Role, token: string): Transport;
  stop(): Promise<readonly string[]>;
}

const START_TIMEOUT_MS = 150_000;
/** Loopback network of this process. */
const NETWORK = `127.${216 + (process.pid % 30)}.${(process.pid >> 5) % 250}`;
const nameOf = (role: string): string => `${role}.rotation`;

/** A key of session cookies. */
export const newConsoleKey = (id: string): string => `${id}:${randomBytes(32).toString("base64url")}`;

export const newServiceToken = (): string => `rps_${randomBytes(32).toString("hex")}`;

/** Hashes of tokens, in the form that services read. */
export function acceptedCallers(...tokens: readonly Readonly<Record<string, string>>[]): string {
  const entries = tokens.flatMap((each) => Object.entries(each));
  return entries.map(([caller, token]) => `${caller}:${createHash("sha256").update(token).digest("hex")}`).join(",");
}

/** Creates a login of a role of the database, with the settings that `provision` gives to the role itself. */
export async function createLogin(admin: pg.Client, database: string, role: string, member: string, password: string) {
  await admin.query(`create role ${role} login inherit in role ${member} password '${password}'`);
  const schema = member === "routeplane_aggregator" ? "usage" : member.replace("routeplane_", "");
  for (const setting of [`search_path = ${schema}`, "statement_timeout = '5s'"])
    await admin.query(`alter role ${role} in database ${database} set ${setting}`);
}

export async function startNodeOfFiles(replicas: number): Promise<NodeOfFiles> {
  const folder = await mkdtemp(join(tmpdir(), `routeplane-rotation-${process.pid}-`));
  const [database, nats, { entry }, reserved, upstream] = await Promise.all([
    cloneDatabase(),
    startNats(),
    bundle(join(folder, "bundle")),
    reservePorts(3),
    startKeyedUpstream(),
  ]);
  const [port = 0, grpcPort = 0, operationsPort = 0] = reserved.ports;
  const hosts = await createHosts(join(folder, "hosts"));
  const authority = createAuthority();
  const admin = new pg.Client({ connectionString: database.adminUrl });
  await admin.connect();
  const loginPrefix = `rotation_${randomBytes(4).toString("hex")}`;
  const addresses = Array.from({ length: ROLES.length * replicas }, (_, index) => `${NETWORK}.${index + 1}`);
  const issue = (by: TestAuthority) => by.issue({ names: ROLES.map(nameOf), addresses });

  const providers = join(folder, "providers.yaml");
  await writeFile(
    providers,
    `providers: [{name: rotated, protocol: openai, base_url: "${upstream.baseUrl}", api_key_env: ROTATED_KEY, models: [{id: rotated, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}}]}]`,
  );
  const appFolder = join(folder, "app");
  await mkdir(appFolder);
  await writeFile(join(appFolder, "index.html"), "<!doctype html><title>Routeplane</title>");
  const tokens = Object.fromEntries(CALLERS.map((caller) => [caller, newServiceToken()]));
  const [providerKey = ""] = upstream.keys;
  const pepper = `p1:${randomBytes(32).toString("hex")}`;
  const volumes = new Map<Role, SecretVolume>();
  for (const role of ROLES) {
    const { cert, key } = issue(authority);
    const volume = new SecretVolume(join(folder, "secrets", role));
    const secrets: Record<string, string> = {
      ROUTEPLANE_TLS_CERT: cert,
      ROUTEPLANE_TLS_KEY: key,
      ROUTEPLANE_TLS_CA: authority.ca,
    };
    if (role !== "gateway" && role !== "console") {
      const login = new URL(database.adminUrl);
      [login.username, login.password] = [`${loginPrefix}_${role}`, newSecret()];
      await createLogin(admin, database.name, login.username, `routeplane_${role}`, login.password);
      secrets["ROUTEPLANE_DATABASE_URL"] = login.href;
    }
    if (role in tokens) secrets["ROUTEPLANE_SERVICE_TOKEN"] = tokens[role] ?? "";
    if (["auth", "policy", "usage"].includes(role)) secrets["ROUTEPLANE_SERVICE_CREDENTIALS"] = acceptedCallers(tokens);
    if (role === "console") secrets["ROUTEPLANE_CONSOLE_KEYS"] = newConsoleKey("k1");
    if (role === "auth") secrets["ROUTEPLANE_KEY_PEPPERS"] = pepper;
    if (role === "aggregator") secrets["ROUTEPLANE_NATS_URL"] = nats.aggregatorUrl;
    if (role === "gateway") Object.assign(secrets, { ROUTEPLANE_NATS_URL: nats.gatewayUrl, ROTATED_KEY: providerKey });
    await volume.set(secrets);
    volumes.set(role, volume);
  }
  const volumeOf = (role: Role): SecretVolume => volumes.get(role) ?? new SecretVolume(folder);

  const launch = (role: Role, address: string): RoleProcess => {
    const volume = volumeOf(role);
    const environment = {
      PATH: process.env["PATH"] ?? "",
      NODE_COMPILE_CACHE: join(folder, "compiled"),
      ROUTEPLANE_HOST: address,
      ROUTEPLANE_PORT: `${port}`,
      ROUTEPLANE_GRPC_PORT: `${grpcPort}`,
      ROUTEPLANE_OPERATIONS_PORT: `${operationsPort}`,
      ROUTEPLANE_LOG_LEVEL: "debug",
      ROUTEPLANE_TLS_CLIENT_AUTH: "require",
      ROUTEPLANE_SPOOL_DIR: join(folder, `spool-${address}`),
      ROUTEPLANE_PROVIDERS: providers,
      ROUTEPLANE_CONSOLE_DIR: appFolder,
      ...Object.fromEntries(
        ["auth", "policy", "usage"].map((name) => [
          `ROUTEPLANE_${name.toUpperCase()}_URL`,
          `https://${nameOf(name)}:${port}`,
        ]),
      ),
      ...Object.fromEntries(Object.keys(volume.values).map((name) => [`${name}_FILE`, volume.path(name)])),
    };
    return startProcess(role, address, hosts.command(process.execPath, [entry, role]), environment);
  };
  const processes: RoleProcess[] = [];
  for (const [index, role] of ROLES.entries()) {
    const own = addresses.slice(index * replicas, (index + 1) * replicas);
    await hosts.set(nameOf(role), own);
    processes.push(...own.map((address) => launch(role, address)));
  }
  const operationsUrls = processes.map(({ address }) => `http://${address}:${operationsPort}`);
  await Promise.all(
    processes.map(async ({ role, output }, index) => {
      const isReady = async (): Promise<boolean> => (await fetch(`${operationsUrls[index]}/readyz`)).ok;
      await eventually(isReady, START_TIMEOUT_MS).catch((cause: unknown) => {
        throw new Error(`${role} did not become ready: ${output()}`, { cause });
      });
    }),
  );

  const transportWith = (by: TestAuthority, role: Role, token: string): Transport => {
    const { address } = processes.find((each) => each.role === role) ?? { address: "" };
    const certificates = constant({ ca: by.ca, ...issue(by) });
    const tls = { certificates, requiresClientCertificate: false };
    return serviceTransport({ url: `https://${address}:${port}`, serviceToken: token, timeoutMs: 10_000, tls });
  };
  const operatorToken = mintToken("operator");
  const installer = transportWith(authority, "auth", tokens["installer"] ?? "");
  await createClient(BootstrapService, installer).bootstrapNode({ operatorToken });
  const keys = createClient(KeyService, transportWith(authority, "auth", operatorToken));
  const { token: apiKey } = await keys.mintRootKey({ namespace: "default", name: "root", scopes: [...ALL_SCOPES] });

  const node: NodeOfFiles = {
    database,
    admin,
    nats,
    upstream,
    authority,
    processes,
    gatewayUrls: processes.flatMap(({ role, address }) => (role === "gateway" ? [`http://${address}:${port}`] : [])),
    consoles: processes.flatMap(({ role, address }) => (role === "console" ? [{ address, port }] : [])),
    operationsUrls,
    operatorToken,
    apiKey,
    loginPrefix,
    port,
    secretsOf: (role) => volumeOf(role).values,
    async replace(changes, line = "secret replaced") {
      const counts = (): ReadonlyMap<string, number> =>
        new Map(
          processes.flatMap(({ role, address, output }) =>
            Object.keys(changes[role] ?? {}).map((name) => [`${address} ${name}`, linesOf(output(), name, line)]),
          ),
        );
      const before = counts();
      for (const role of ROLES) if (changes[role] !== undefined) await volumeOf(role).set(changes[role]);
      await eventually(async () => [...counts()].every(([of, count]) => count > (before.get(of) ?? 0)));
    },
    issue,
    transport: (role, token) => transportWith(node.authority, role, token),
    async stop() {
      const failed: string[] = [];
      for (const each of processes.toReversed()) {
        const code = await each.stop();
        if (code !== 0) failed.push(`${each.role} ended with ${code}: ${each.output().slice(-2_000)}`);
      }
      await admin.end();
      await Promise.all([database.drop(), nats.remove(), upstream.close()]);
      await Promise.all([folder, authority.folder].map((used) => rm(used, { recursive: true, force: true })));
      reserved.release();
      return failed;
    },
  };
  return node;
}

/** Number of lines of the log that name a secret and hold this text. */
function linesOf(output: string, name: string, text: string): number {
  return output.split("\n").filter((line) => line.includes(`"${name}"`) && line.includes(text)).length;
}

function startProcess(
  role: Role,
  address: string,
  [executable, args]: readonly [string, string[]],
  environment: Readonly<Record<string, string>>,
): RoleProcess {
  const child = spawn(executable, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  return {
    role,
    address,
    pid: child.pid ?? 0,
    output: () => output,
    async stop() {
      if (child.exitCode !== null) return child.exitCode;
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const killer = setTimeout(() => child.kill("SIGKILL"), 30_000);
      await exited;
      clearTimeout(killer);
      return child.exitCode;
    },
  };
}
