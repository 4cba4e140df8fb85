import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import {
  chooseAddresses,
  defaultConsolePort,
  fixedPort,
  portsOf,
  removeAddresses,
  writeAddresses,
} from "./addresses.ts";
import { homeLayout } from "./home.ts";
import { INNER_PORTS } from "./ports.ts";

function choose(gatewayPorts: readonly number[], environment: Record<string, string> = {}) {
  const messages: string[] = [];
  const options = { gatewayPorts, environment, say: (text: string) => void messages.push(text) };
  return chooseAddresses(options).then((addresses) => ({ addresses, messages }));
}

/** Gateway port of a node that probably does not run on this machine. */
const GATEWAY_PORT = 9_417;

async function occupy(port: number): Promise<void> {
  const server = createServer().listen(port, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
}

it("are the same at every start, and depend only on the gateway's port", async () => {
  const [first, second] = [await choose([GATEWAY_PORT]), await choose([GATEWAY_PORT])];
  expect(first).toEqual({ ...second, messages: [] });
  const base = 20_000 + (GATEWAY_PORT % 750) * 16;
  expect(first.addresses).toEqual({
    services: { auth: base, policy: base + 1, usage: base + 2, aggregator: base + 3 },
    grpc: { auth: base + 4, policy: base + 5 },
    postgres: base + 6,
    nats: base + 7,
    console: GATEWAY_PORT + 10_000,
    operations: {
      auth: base + 8,
      policy: base + 9,
      usage: base + 10,
      aggregator: base + 11,
      gateway: base + 12,
      console: base + 13,
    },
  });
});

it("differ from those of other nodes whose gateway port differs by less than 750", () => {
  const names = ["auth", "operations console"] as const;
  const edges = Array.from({ length: 750 }, (_, index) => names.map((name) => fixedPort(8080 + index, name)));
  const sorted = edges.toSorted(([a = 0], [b = 0]) => a - b);
  sorted.reduce(([, end = 0], block) => (expect(block[0]).toBeGreaterThan(end), block), [0, 0]);
  expect(sorted[0]?.[0]).toBeGreaterThanOrEqual(INNER_PORTS.from);
  expect(sorted.at(-1)?.[1]).toBeLessThan(INNER_PORTS.to);
});

it("are replaced, with a message, if another program or a gateway of the node has the port", async () => {
  const [taken, gateway] = [fixedPort(GATEWAY_PORT, "policy"), fixedPort(GATEWAY_PORT, "nats")];
  await occupy(taken);
  const { addresses, messages } = await choose([GATEWAY_PORT, gateway]);
  expect(messages).toEqual([
    `  port ${taken} (policy) is in use: this run has ${addresses.services.policy} instead`,
    `  port ${gateway} (nats) is in use: this run has ${addresses.nats} instead`,
  ]);
  const ports = portsOf(addresses);
  expect(new Set([...ports, taken, gateway]).size).toBe(17);
  expect(addresses.services.auth).toBe(fixedPort(GATEWAY_PORT, "auth"));
});

it("are any free ports if the environment asks for them, so that many nodes can run at the same time", async () => {
  const environment = { ROUTEPLANE_INNER_PORTS: "free" };
  const nodes = await Promise.all(Array.from({ length: 4 }, () => choose([GATEWAY_PORT], environment)));
  expect(new Set(nodes.flatMap(({ addresses }) => portsOf(addresses))).size).toBe(60);
  await expect(choose([GATEWAY_PORT], { ROUTEPLANE_INNER_PORTS: "any" })).rejects.toThrow(
    'ROUTEPLANE_INNER_PORTS is "any": set it to fixed or free',
  );
});

it("have a chosen port for the console, or none", async () => {
  const portWith = async (environment: Record<string, string>) =>
    (await choose([GATEWAY_PORT], environment)).addresses.console;
  const wanted = String(GATEWAY_PORT + 1);
  expect(await portWith({ ROUTEPLANE_CONSOLE_PORT: wanted })).toBe(GATEWAY_PORT + 1);
  expect(await portWith({ ROUTEPLANE_CONSOLE: "off" })).toBeUndefined();
  for (const port of [String(GATEWAY_PORT), "0", "65536", "http"]) {
    await expect(portWith({ ROUTEPLANE_CONSOLE_PORT: port })).rejects.toThrow(
      `ROUTEPLANE_CONSOLE_PORT is "${port}": set it to a free port`,
    );
  }
  await occupy(GATEWAY_PORT + 1);
  await expect(portWith({ ROUTEPLANE_CONSOLE_PORT: wanted })).rejects.toThrow("set it to a free port");
  await expect(portWith({ ROUTEPLANE_CONSOLE: "no" })).rejects.toThrow("set it to on or off");
});

it("have another port for the console if its default is in use or does not exist", async () => {
  await occupy(GATEWAY_PORT + 10_000);
  const { addresses, messages } = await choose([GATEWAY_PORT]);
  expect(addresses.console).not.toBe(GATEWAY_PORT + 10_000);
  expect(messages).toEqual([
    `  port ${GATEWAY_PORT + 10_000} (console) is in use: this run has ${addresses.console} instead`,
  ]);
  expect(defaultConsolePort(60_000)).toBe(50_000);
});

it("are in a file while the node runs", async () => {
  const folder = await mkdtemp(join(tmpdir(), "routeplane-home-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const layout = { ...homeLayout(folder), run: folder };
  const services = { auth: 1, policy: 2, usage: 3, aggregator: 4 };
  const operations = { auth: 9, policy: 10, usage: 11, aggregator: 12, gateway: 13, console: 18 };
  const inner = { services, grpc: { auth: 5, policy: 6 }, postgres: 7, nats: 8, console: 17, operations };
  await writeAddresses(layout, inner, [
    { role: "gateway", port: 8080, operationsPort: 13, isForSpool: false },
    { role: "gateway-2", port: 8081, operationsPort: 14, isForSpool: false },
    { role: "gateway-3", port: 15, operationsPort: 16, isForSpool: true },
  ]);
  expect(JSON.parse(await readFile(join(folder, "addresses.json"), "utf8"))).toEqual({
    gateways: ["127.0.0.1:8080", "127.0.0.1:8081"],
    auth: "127.0.0.1:1",
    policy: "127.0.0.1:2",
    usage: "127.0.0.1:3",
    aggregator: "127.0.0.1:4",
    grpc: { auth: "127.0.0.1:5", policy: "127.0.0.1:6" },
    postgres: "127.0.0.1:7",
    nats: "127.0.0.1:8",
    console: "127.0.0.1:17",
    operations: {
      auth: "127.0.0.1:9",
      policy: "127.0.0.1:10",
      usage: "127.0.0.1:11",
      aggregator: "127.0.0.1:12",
      gateway: "127.0.0.1:13",
      "gateway-2": "127.0.0.1:14",
      "gateway-3": "127.0.0.1:16",
      console: "127.0.0.1:18",
    },
  });
  await removeAddresses(layout);
  await expect(readFile(join(folder, "addresses.json"))).rejects.toThrow("ENOENT");
});
