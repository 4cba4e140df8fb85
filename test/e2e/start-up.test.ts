import { once } from "node:events";
import { readdir, readFile, stat } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { redactTokens } from "@routeplane/credentials";
import { afterAll, describe, expect, it } from "vitest";
import { newHome, processesOf, startNode, type TestNode } from "../harness/index.ts";

/** Environment with the fixed ports of a node that is not a test. */
const FIXED = { ROUTEPLANE_INNER_PORTS: "fixed", ROUTEPLANE_CONSOLE: "on" };
const ROLES = ["aggregator", "auth", "console", "gateway", "nats", "policy", "postgres", "usage"];

/** Node that is started, inspected, stopped and started again. Each test builds on those before it. */
describe("npm start", () => {
  const home = newHome();
  let node: TestNode;
  let firstKey: string;
  let addresses: AddressFile;
  afterAll(() => node?.remove());

  it("runs a node from an empty folder", async () => {
    node = await startNode({ home: await home, environment: FIXED });
    const response = await fetch(`${node.url}/healthz`);
    expect(response.status).toBe(200);
    firstKey = await node.apiKey();
  });

  it("runs every role as a process of its own, with a pid file", async () => {
    const files = await readdir(join(node.home, "run"));
    expect(files.toSorted()).toEqual(["addresses.json", ...ROLES.map((role) => `${role}.pid`)]);
    const pids = await Promise.all(ROLES.map((role) => node.pid(role)));
    expect(new Set(pids).size).toBe(ROLES.length);
    for (const pid of pids) expect(() => process.kill(pid ?? 0, 0)).not.toThrow();
  });

  it("runs the services from the bundle of the image", async () => {
    for (const role of ROLES.filter((name) => !["nats", "postgres"].includes(name))) {
      const commandLine = await readFile(`/proc/${await node.pid(role)}/cmdline`, "utf8");
      expect(commandLine.split("\0").slice(1, 3)).toEqual([
        expect.stringMatching(/\/bundles\/.*\/routeplane\.mjs$/),
        role,
      ]);
    }
  });

  it("signs the CLI in to the namespace default", async () => {
    const { exitCode, stdout } = await node.cli(["cloud", "namespace", "list"]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ns_[0-9a-z]{26}\s+default\s+\(active\)$/m);
  });

  it("saves the operator credential, which is a different one", async () => {
    expect(await node.operatorKey()).toMatch(/^rpo_/);
    expect(firstKey).toMatch(/^rp_/);
  });

  it("writes all addresses to run/addresses.json, under stable names", async () => {
    addresses = await addressesOf(node);
    const { gateways, auth, policy, usage, aggregator, grpc, postgres, nats, operations, ...rest } = addresses;
    const { console, ...others } = rest;
    expect(others).toEqual({});
    expect(gateways).toEqual([`127.0.0.1:${node.port}`]);
    expect(Object.keys(operations).toSorted()).toEqual(["aggregator", "auth", "console", "gateway", "policy", "usage"]);
    for (const address of [auth, policy, usage, aggregator, grpc.auth, grpc.policy, postgres, nats, console]) {
      const socket = connect(Number(address.split(":")[1]), "127.0.0.1");
      await once(socket, "connect");
      socket.destroy();
    }
  });

  it("has an operations port for each process, which is live and ready, knows its dependencies and has metrics", async () => {
    for (const [role, address] of Object.entries(addresses.operations)) {
      for (const path of ["/livez", "/readyz", "/healthz"]) {
        const response = await fetch(`http://${address}${path}`);
        expect(response.status, `${role}${path}: ${await response.text()}`).toBe(200);
      }
      const metrics = await (await fetch(`http://${address}/metrics`)).text();
      expect(metrics).toContain(`routeplane_build_info{service="${role}",version="`);
      expect(metrics).toContain("routeplane_ready 1\n");
    }
  });

  it("makes secrets readable for their owner only", async () => {
    const mode = async (name: string): Promise<string> =>
      ((await stat(join(node.home, name))).mode & 0o777).toString(8);
    for (const file of ["api-key", "operator-key", "secrets.json", "nats/nats.conf", "log/auth.log"]) {
      expect([file, await mode(file)]).toEqual([file, "600"]);
    }
    for (const folder of ["run", "log", "nats", "postgres"]) {
      expect([folder, await mode(folder)]).toEqual([folder, "700"]);
    }
  });

  it("prints the next commands, ready to paste", async () => {
    expect(node.stdout()).toContain("npx routeplane cloud status");
    expect(node.stdout()).toContain(`${node.url}/v1/chat/completions`);
  });

  it("shows no token and no password on the terminal, in a log or in a process list", async () => {
    const secrets = await secretsOf(node);
    const logs = await Promise.all((await readdir(join(node.home, "log"))).map((file) => readLog(node, file)));
    const pids = await processesOf(node.home);
    const commandLines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
    for (const text of [node.stdout(), node.stderr(), ...logs, ...commandLines]) {
      expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
      expect(redactTokens(text)).toBe(text);
    }
  });

  it("stops on Ctrl-C with exit code 0, without leaving a process or pid file", async () => {
    const { exitCode } = await node.stop("SIGINT");
    expect(exitCode).toBe(0);
    expect(await processesOf(node.home)).toEqual([]);
    expect(await readdir(join(node.home, "run"))).toEqual([]);
  });

  it("starts again with all its data", async () => {
    const seeded = await readFile(join(node.home, "seeded"), "utf8");
    node = await startNode({ home: node.home, port: node.port, environment: FIXED });
    expect(await node.apiKey()).toBe(firstKey);
    expect(await addressesOf(node)).toEqual(addresses);
    expect(await readFile(join(node.home, "seeded"), "utf8")).toBe(seeded);
    const { exitCode, stdout } = await node.cli(["cloud", "keys", "list", "--json"]);
    expect(exitCode).toBe(0);
    const { data } = JSON.parse(stdout) as { data: { name: string }[] };
    expect(data.map(({ name }) => name)).toEqual(["root"]);
  });

  it("does not sign in again after a logout", async () => {
    await node.cli(["cloud", "logout"]);
    await node.stop();
    node = await startNode({ home: node.home, port: node.port });
    await expect(node.apiKey()).rejects.toThrow("no api-key");
  });
});

interface AddressFile {
  readonly gateways: readonly string[];
  readonly auth: string;
  readonly policy: string;
  readonly usage: string;
  readonly aggregator: string;
  readonly grpc: { readonly auth: string; readonly policy: string };
  readonly postgres: string;
  readonly nats: string;
  readonly console: string;
  readonly operations: Readonly<Record<string, string>>;
}

async function addressesOf(node: TestNode): Promise<AddressFile> {
  return JSON.parse(await readFile(join(node.home, "run/addresses.json"), "utf8")) as AddressFile;
}

async function secretsOf(node: TestNode): Promise<readonly string[]> {
  const saved: unknown = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8"));
  const texts = (value: unknown): string[] =>
    typeof value === "string" ? [value] : Object.values(value as object).flatMap(texts);
  return [...texts(saved), await node.apiKey(), await node.operatorKey()];
}

function readLog(node: TestNode, file: string): Promise<string> {
  return readFile(join(node.home, "log", file), "utf8");
}
