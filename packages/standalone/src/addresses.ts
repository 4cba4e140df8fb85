import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Gateway } from "./gateways.ts";
import { StartFailure } from "./start-failure.ts";
import type { HomeLayout } from "./home.ts";
import { findFreePort, INNER_PORTS, isPortFree, reservePorts } from "./ports.ts";
import { writeAtomically } from "./saved-files.ts";

/** Processes of a node that serve RPC, each on its own port. */
export type Service = "auth" | "policy" | "usage" | "aggregator";

/** Inner ports of a node, all on 127.0.0.1. */
export interface Addresses {
  readonly services: Readonly<Record<Service, number>>;
  /** Ports of the hot methods, plain gRPC only. */
  readonly grpc: Readonly<Record<"auth" | "policy", number>>;
  readonly postgres: number;
  readonly nats: number;
  /** Port of the console; undefined if the node runs none. */
  readonly console: number | undefined;
  /** Operations ports of the processes, keyed by role. Those of further gateways are in `Gateway`. */
  readonly operations: Readonly<Record<Service | "gateway" | "console", number>>;
}

export interface AddressOptions {
  readonly gatewayPorts: readonly number[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly say: (text: string) => void;
}

/**
 * Inner ports in their order within a block. Each gateway port maps to a block, so that nodes whose ROUTEPLANE_PORT differs by less
 * than `BLOCKS` have no inner port in common.
 */
const NAMES = [
  "auth",
  "policy",
  "usage",
  "aggregator",
  "grpc auth",
  "grpc policy",
  "postgres",
  "nats",
  "operations auth",
  "operations policy",
  "operations usage",
  "operations aggregator",
  "operations gateway",
  "operations console",
] as const;
type Name = (typeof NAMES)[number];
const BLOCKS = 750;
const BLOCK_SIZE = 16;
/** Distance of the console's default port from that of the first gateway: no other node with a near port uses it. */
const CONSOLE_DISTANCE = 10_000;
const MAX_PORT = 65_535;

/**
 * Chooses the port of each inner process, valid until this process ends: a restarted process listens on the same port again.
 * The ports are the same at every start. One that another program uses is replaced by a free one, and `say` reports it.
 */
export async function chooseAddresses(options: AddressOptions): Promise<Addresses> {
  const ports = (await (usesFreePorts(options) ? anyPorts() : fixedPorts(options))) as Readonly<Record<Name, number>>;
  const { auth, policy, usage, aggregator, postgres, nats } = ports;
  const grpc = { auth: ports["grpc auth"], policy: ports["grpc policy"] };
  const operations = {
    auth: ports["operations auth"],
    policy: ports["operations policy"],
    usage: ports["operations usage"],
    aggregator: ports["operations aggregator"],
    gateway: ports["operations gateway"],
    console: ports["operations console"],
  };
  const consolePort = await chooseConsolePort(options, Object.values(ports));
  return { services: { auth, policy, usage, aggregator }, grpc, postgres, nats, console: consolePort, operations };
}

/** Default inner port of a node whose first gateway listens on `gatewayPort`. */
export function fixedPort(gatewayPort: number, name: Name): number {
  return INNER_PORTS.from + (gatewayPort % BLOCKS) * BLOCK_SIZE + NAMES.indexOf(name);
}

async function fixedPorts({ gatewayPorts, say }: AddressOptions): Promise<Readonly<Record<string, number>>> {
  const ports = new Map<Name, number>();
  const isOurs = (port: number): boolean => gatewayPorts.includes(port) || [...ports.values()].includes(port);
  for (const name of NAMES) {
    const wanted = fixedPort(gatewayPorts[0] ?? 0, name);
    const isUsable = !isOurs(wanted) && (await isPortFree(wanted));
    const port = isUsable ? wanted : await findFreePort(isOurs);
    if (!isUsable) say(`  port ${wanted} (${name}) is in use: this run has ${port} instead`);
    ports.set(name, port);
  }
  return Object.fromEntries(ports);
}

/** Chooses the port of the console, which people open. A port given by ROUTEPLANE_CONSOLE_PORT has to be free. */
async function chooseConsolePort(options: AddressOptions, inner: readonly number[]): Promise<number | undefined> {
  const { gatewayPorts, environment, say } = options;
  if (!runsConsole(environment)) return undefined;
  const isOurs = (port: number): boolean => gatewayPorts.includes(port) || inner.includes(port);
  const wanted = environment["ROUTEPLANE_CONSOLE_PORT"]?.trim();
  if (wanted) {
    const port = /^\d{1,5}$/.test(wanted) ? Number(wanted) : 0;
    if (port > 0 && port <= MAX_PORT && !isOurs(port) && (await isPortFree(port))) return port;
    throw new StartFailure(
      `ROUTEPLANE_CONSOLE_PORT is ${JSON.stringify(wanted)}: set it to a free port from 1 to ${MAX_PORT}, or unset it`,
    );
  }
  if (usesFreePorts(options)) return (await reservePorts(1)).ports[0];
  const port = defaultConsolePort(gatewayPorts[0] ?? 0);
  if (!isOurs(port) && (await isPortFree(port))) return port;
  const free = await findFreePort(isOurs);
  say(`  port ${port} (console) is in use: this run has ${free} instead`);
  return free;
}

/** Default port of the console of a node whose first gateway listens on `gatewayPort`. */
export function defaultConsolePort(gatewayPort: number): number {
  const port = gatewayPort + CONSOLE_DISTANCE;
  return port <= MAX_PORT ? port : gatewayPort - CONSOLE_DISTANCE;
}

function runsConsole(environment: AddressOptions["environment"]): boolean {
  const choice = environment["ROUTEPLANE_CONSOLE"]?.trim() || "on";
  if (choice === "on" || choice === "off") return choice === "on";
  throw new StartFailure(`ROUTEPLANE_CONSOLE is ${JSON.stringify(choice)}: set it to on or off, or unset it`);
}

async function anyPorts(): Promise<Readonly<Record<string, number>>> {
  const { ports } = await reservePorts(NAMES.length);
  return Object.fromEntries(NAMES.map((name, index) => [name, ports[index] ?? 0]));
}

function usesFreePorts({ environment }: AddressOptions): boolean {
  const choice = environment["ROUTEPLANE_INNER_PORTS"]?.trim() || "fixed";
  if (choice === "fixed" || choice === "free") return choice === "free";
  throw new StartFailure(`ROUTEPLANE_INNER_PORTS is ${JSON.stringify(choice)}: set it to fixed or free, or unset it`);
}

export function portsOf(addresses: Addresses): readonly number[] {
  const { services, grpc, postgres, nats, console: consolePort, operations } = addresses;
  const inner = [...Object.values(services), ...Object.values(grpc), postgres, nats, ...Object.values(operations)];
  return consolePort === undefined ? inner : [...inner, consolePort];
}

/** Writes `run/addresses.json` atomically. The README documents its fields. */
export async function writeAddresses(
  layout: HomeLayout,
  addresses: Addresses,
  gateways: readonly Pick<Gateway, "role" | "port" | "operationsPort" | "isForSpool">[],
): Promise<void> {
  const addressOf = (port: number): string => `127.0.0.1:${port}`;
  const { services, grpc, postgres, nats, console: consolePort, operations } = addresses;
  const gatewayOperations = gateways.map(({ role, operationsPort }) => [role, addressOf(operationsPort)] as const);
  const content = {
    gateways: gateways.filter(({ isForSpool }) => !isForSpool).map(({ port }) => addressOf(port)),
    auth: addressOf(services.auth),
    policy: addressOf(services.policy),
    usage: addressOf(services.usage),
    aggregator: addressOf(services.aggregator),
    grpc: { auth: addressOf(grpc.auth), policy: addressOf(grpc.policy) },
    postgres: addressOf(postgres),
    nats: addressOf(nats),
    ...(consolePort !== undefined && { console: addressOf(consolePort) }),
    operations: {
      auth: addressOf(operations.auth),
      policy: addressOf(operations.policy),
      usage: addressOf(operations.usage),
      aggregator: addressOf(operations.aggregator),
      ...Object.fromEntries(gatewayOperations),
      ...(consolePort !== undefined && { console: addressOf(operations.console) }),
    },
  };
  await writeAtomically(fileOf(layout), `${JSON.stringify(content, undefined, 2)}\n`, 0o600);
}

export async function removeAddresses(layout: HomeLayout): Promise<void> {
  await rm(fileOf(layout), { force: true });
}

function fileOf(layout: HomeLayout): string {
  return join(layout.run, "addresses.json");
}
