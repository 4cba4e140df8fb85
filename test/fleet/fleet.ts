import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createClient, type Transport } from "@connectrpc/connect";
import { BootstrapService, KeyService } from "@routeplane/contracts/auth";
import { ALL_SCOPES, mintToken } from "@routeplane/credentials";
import type { RoleName } from "@routeplane/postgres";
import { serviceTransport } from "@routeplane/rpc";
import { reservePorts } from "@routeplane/standalone";
import { cloneDatabase, startNats, type TestDatabase, type TestNats } from "@routeplane/testing";
import { bundle } from "../../deploy/bundle.ts";
import { startGatewayEndpoints } from "./gateway-endpoints.ts";
import { createHosts } from "./hosts.ts";
import { createPodNetwork, type PodNetwork } from "./pod-network.ts";
import { FLEET_ROLES, type FleetRole, type Replica, ready, startReplica } from "./replica.ts";

/** Number of replicas of each role; no console by default, which the previous release does not have. */
export type FleetSize = Readonly<Record<Exclude<FleetRole, "console">, number>> & { readonly console?: number };

/**
 * Several processes of each role of the bundle, as in a cluster: every process listens on the ports of its role at a loopback
 * address of its own, and finds the others by names such as `policy.fleet`, which have one address for each process that is
 * listed. On real Postgres and NATS.
 */
export interface Fleet {
  readonly database: TestDatabase;
  readonly nats: TestNats;
  /** Token of an operator credential with all scopes. */
  readonly operatorToken: string;
  /** Token of a root key with all scopes in the namespace `default`. */
  readonly apiKey: string;
  readonly namespaceId: string;
  /** Processes of a role that run, in the order of their start. */
  replicas(role: FleetRole): readonly Replica[];
  /** Address of the gateways: each new connection goes to one that is ready. */
  readonly url: string;
  /** Transport to one process of a service, with this credential. */
  transport(replica: Replica, token: string): Transport;
  /** Starts another process, waits until it is ready, and lists it. */
  add(role: FleetRole): Promise<Replica>;
  /** Starts another process in a network of its own; otherwise as `add`. */
  addIsolated(role: "auth" | "policy"): Promise<IsolatedReplica>;
  /** Removes a process permanently: from DNS, and then with SIGTERM. @throws Error with its output unless it ends with 0 */
  remove(replica: Replica): Promise<void>;
  /** Port of every process. */
  readonly port: number;
  /** Addresses of the gateways that are listed. */
  readonly urls: readonly string[];
  /** Starts a process again that was killed, at its address, and waits until it is ready. */
  restart(killed: Replica): Promise<Replica>;
  /** Lists or removes the address of a process, as endpoints follow readiness in a cluster. */
  list(replica: Replica): Promise<void>;
  unlist(replica: Replica): Promise<void>;
  /** Replaces processes of a role, one after the other, as a rolling update with a surge of one does. */
  roll(role: FleetRole, options?: RollOptions): Promise<void>;
  /** Sets the bundle entry, of another release, for processes that are started from now on. */
  use(entry: string): void;
  /** Stops every process. Resolves to those that did not end with exit code 0, with their output. */
  stop(): Promise<readonly string[]>;
}

export interface RollOptions {
  /** Number of processes that are replaced; all by default. */
  readonly count?: number;
  /** Time between the removal of an address and the signal; 0: it is removed only after the end. `PRESTOP_MS` by default. */
  readonly prestopMs?: number;
}

/** A process whose network can be lost. */
export interface IsolatedReplica {
  readonly replica: Replica;
  readonly network: PodNetwork;
}

/** Length of the output of a process that is quoted. */
const OUTPUT_CHARS = 2_000;
/** Time between the removal of an address and the signal. Shorter than the interval at which names are resolved again. */
const PRESTOP_MS = 1_000;
/** Loopback network of this process: concurrent fleets must not share addresses. */
const NETWORK = `127.${16 + (process.pid % 200)}.${(process.pid >> 8) % 250}`;
const CALLERS = ["gateway", "policy", "usage", "installer"] as const;
const tokenOf = (caller: string): string => `rps_of-${caller}`;
const nameOf = (role: string): string => `${role}.fleet`;

/** Release and database that a fleet begins with, if not this build and a database with its schemas. */
export interface FleetOrigin {
  /** Entry of the bundle of another release. */
  readonly entry: string;
  /** Database, which the fleet drops at its end. */
  readonly database: TestDatabase;
}

/** Starts a fleet whose processes are all ready. */
export async function startFleet(
  size: FleetSize,
  environment: Readonly<Record<string, string>> = {},
  origin?: FleetOrigin,
): Promise<Fleet> {
  const folder = await mkdtemp(join(tmpdir(), `routeplane-fleet-${process.pid}-`));
  const [database, nats, built, reserved, endpoints] = await Promise.all([
    origin?.database ?? cloneDatabase(),
    startNats(),
    origin ?? bundle(join(folder, "bundle")),
    reservePorts(3),
    startGatewayEndpoints(),
  ]);
  let { entry } = built;
  const [port = 0, grpcPort = 0, operationsPort = 0] = reserved.ports;
  const hosts = await createHosts(join(folder, "hosts"));
  const { console: consoles = 0 } = size;
  // A release from before the console does not start with a list that contains it.
  const callers = [...CALLERS, ...(consoles > 0 ? ["console"] : [])];
  const appFolder = join(folder, "app");
  await mkdir(appFolder);
  await writeFile(join(appFolder, "index.html"), "<!doctype html><title>Routeplane</title>");
  const ofConsole = {
    ROUTEPLANE_CONSOLE_KEYS: `k1:${randomBytes(32).toString("base64url")}`,
    ROUTEPLANE_CONSOLE_DIR: appFolder,
  };
  const more = { ...ofConsole, ...environment };
  const wiring = { folder, database, nats, port, grpcPort, operationsPort, callers, environment: more };
  const running: Replica[] = [];
  const listed = new Set<Replica>();
  const networks: PodNetwork[] = [];
  let started = 0;

  const publish = (role: string): Promise<void> => {
    const addresses = [...listed].filter((replica) => replica.role === role).map(({ address }) => address);
    return hosts.set(nameOf(role), addresses);
  };
  const launch = (role: FleetRole, address = `${NETWORK}.${++started}`): Replica => {
    const command = hosts.command(process.execPath, [entry, role]);
    const replica = startReplica({
      role,
      address,
      operationsPort,
      command,
      environment: environmentOf(role, address, wiring),
    });
    running.push(replica);
    return replica;
  };
  const list = async (replica: Replica): Promise<void> => {
    listed.add(replica);
    if (replica.role === "gateway") await endpoints.add({ ...replica, port });
    else await publish(replica.role);
  };
  const unlist = async (replica: Replica): Promise<void> => {
    listed.delete(replica);
    if (replica.role === "gateway") endpoints.remove(replica.address);
    else await publish(replica.role);
  };
  const remove = async (replica: Replica, prestopMs = PRESTOP_MS): Promise<void> => {
    if (prestopMs > 0) {
      await unlist(replica);
      await delay(prestopMs);
    }
    const code = await replica.stop();
    await unlist(replica);
    if (code !== 0) throw new Error(`${replica.role} ended with ${code}: ${replica.output().slice(-OUTPUT_CHARS)}`);
  };
  const transport = ({ address }: Replica, token: string): Transport =>
    serviceTransport({ url: `http://${address}:${port}`, serviceToken: token, timeoutMs: 10_000 });
  const add = async (role: FleetRole): Promise<Replica> => {
    const replica = launch(role);
    await ready(replica, port);
    await list(replica);
    return replica;
  };
  const replicas = (role: FleetRole): readonly Replica[] =>
    running.filter((replica) => replica.role === role && replica.isRunning);

  // As in a cluster, no process is ready before its dependencies.
  const launched = FLEET_ROLES.map((role) => Array.from({ length: size[role] ?? 0 }, () => launch(role)));
  for (const ofRole of launched) {
    await Promise.all(ofRole.map((replica) => ready(replica, port)));
    await Promise.all(ofRole.map((replica) => list(replica)));
  }
  const [auth] = replicas("auth");
  if (auth === undefined) throw new Error("a fleet needs an auth service");
  const operatorToken = mintToken("operator");
  const bootstrap = createClient(BootstrapService, transport(auth, tokenOf("installer")));
  const { namespaceId } = await bootstrap.bootstrapNode({ operatorToken });
  const keys = createClient(KeyService, transport(auth, operatorToken));
  const { token: apiKey } = await keys.mintRootKey({ namespace: "default", name: "root", scopes: [...ALL_SCOPES] });

  return {
    database,
    nats,
    operatorToken,
    apiKey,
    namespaceId,
    replicas,
    url: endpoints.url,
    port,
    get urls() {
      return [...listed].flatMap(({ role, address }) => (role === "gateway" ? [`http://${address}:${port}`] : []));
    },
    transport,
    add,
    async addIsolated(role) {
      const network = await createPodNetwork();
      networks.push(network);
      const expose = async (url: string): Promise<string> => {
        const { hostname, port: exposed } = new URL(url);
        const inside = await network.expose(hostname, Number(exposed));
        return url.replace(`${hostname}:${exposed}`, `${inside.host}:${inside.port}`);
      };
      const inner = {
        ROUTEPLANE_DATABASE_URL: await expose(database.url(`routeplane_${role}`)),
        ROUTEPLANE_AUTH_URL: await expose(`http://${auth.address}:${port}`),
      };
      const replica = startReplica({
        role,
        address: network.address,
        operationsPort,
        command: network.command(...hosts.command(process.execPath, [entry, role])),
        environment: { ...environmentOf(role, network.address, wiring), ...inner },
      });
      running.push(replica);
      await ready(replica, port);
      await list(replica);
      return { replica, network };
    },
    remove: (replica) => remove(replica),
    async restart(killed) {
      listed.delete(killed);
      const replica = launch(killed.role, killed.address);
      await ready(replica, port);
      await list(replica);
      return replica;
    },
    list,
    unlist,
    async roll(role, { count = Infinity, prestopMs } = {}) {
      for (const old of replicas(role).slice(0, count)) {
        await add(role);
        await remove(old, prestopMs);
      }
    },
    use(other) {
      entry = other;
    },
    async stop() {
      const codes: string[] = [];
      // Callers first, so that none reports a missing service.
      for (const role of FLEET_ROLES.toReversed()) {
        const ofRole = replicas(role);
        const ended = await Promise.all(ofRole.map((replica) => replica.stop()));
        for (const [index, code] of ended.entries()) {
          if (code !== 0) codes.push(`${role} ended with ${code}: ${ofRole[index]?.output().slice(-OUTPUT_CHARS)}`);
        }
      }
      await Promise.all([endpoints.stop(), ...networks.map((network) => network.remove())]);
      await Promise.all([database.drop(), nats.remove(), rm(folder, { recursive: true, force: true })]);
      reserved.release();
      return codes;
    },
  };
}

interface Wiring {
  readonly folder: string;
  readonly database: TestDatabase;
  readonly nats: TestNats;
  readonly port: number;
  readonly grpcPort: number;
  readonly operationsPort: number;
  /** Callers whose service tokens the services accept. */
  readonly callers: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

function environmentOf(role: FleetRole, address: string, wiring: Wiring): Record<string, string> {
  const { folder, database, nats, port, grpcPort, operationsPort, callers } = wiring;
  const urls = Object.fromEntries(
    ["auth", "policy", "usage"].map((name) => [
      `ROUTEPLANE_${name.toUpperCase()}_URL`,
      `http://${nameOf(name)}:${port}`,
    ]),
  );
  const accepted = callers.map((caller) => `${caller}:${createHash("sha256").update(tokenOf(caller)).digest("hex")}`);
  return {
    PATH: process.env["PATH"] ?? "",
    NODE_COMPILE_CACHE: join(folder, "compiled"),
    ROUTEPLANE_HOST: address,
    ROUTEPLANE_PORT: `${port}`,
    ROUTEPLANE_GRPC_PORT: `${grpcPort}`,
    ROUTEPLANE_OPERATIONS_PORT: `${operationsPort}`,
    ROUTEPLANE_DATABASE_URL: database.url(`routeplane_${role}` as RoleName),
    ROUTEPLANE_SERVICE_TOKEN: tokenOf(role),
    ROUTEPLANE_SERVICE_CREDENTIALS: accepted.join(","),
    ROUTEPLANE_KEY_PEPPERS: `p1:${"0f".repeat(32)}`,
    ROUTEPLANE_NATS_URL: role === "gateway" ? nats.gatewayUrl : nats.aggregatorUrl,
    ROUTEPLANE_SPOOL_DIR: join(folder, `spool-${address}`),
    // A replica is one process, which can be suspended as a whole; test/faults/gateway-processes.test.ts is about several.
    ROUTEPLANE_GATEWAY_PROCESSES: "1",
    ROUTEPLANE_ECHO: "on",
    ...urls,
    ...wiring.environment,
  };
}
