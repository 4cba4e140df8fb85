import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { IdentityService, KeyService } from "@routeplane/contracts/auth";
import { findNode20 } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import packageJson from "../package.json" with { type: "json" };
import { CLI_BIN, type CliResult } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const execute = promisify(execFile);

const CREATED = { seconds: 1_777_593_600n, nanos: 0 };

function routes(router: ConnectRouter): void {
  router.service(IdentityService, {
    whoAmI(_, { requestHeader }) {
      if (requestHeader.get("authorization") !== "Bearer rp_live_good") {
        throw refusal(Code.Unauthenticated, "CREDENTIAL_INVALID", "not a valid key");
      }
      const key = { keyId: "key_1", name: "root", namespaceId: "ns_1", namespaceName: "default", scopes: ["keys:*"] };
      return { account: { id: "acc_1", name: "default" }, identity: { case: "key", value: key } };
    },
  });
  router.service(KeyService, {
    mintKey: ({ name }) => ({ key: { id: "key_3", name, createdAt: CREATED }, token: "rp_live_sub" }),
    revokeKey: ({ id }) => ({ key: { id, name: "sub", createdAt: CREATED, revokedAt: CREATED } }),
    listKeys: () => ({
      keys: [
        { id: "key_1", name: "root", createdAt: CREATED },
        { id: "key_2", name: "agent", parentId: "key_1", createdAt: CREATED },
      ],
    }),
  });
}

/** Folder with nothing but the result of `npm install` of the packed package. */
let folder: string;
/** Folder with a single program: `node`, version 20. */
let node20: string;
let node: FakeNode;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-installed-"));
  node20 = join(folder, "node-20");
  await mkdir(node20);
  await symlink(await findNode20(folder), join(node20, "node"));
  await execute("npm", ["pack", "--pack-destination", folder], { cwd: join(import.meta.dirname, "..") });
  const archive = join(folder, `routeplane-cli-${packageJson.version}.tgz`);
  await execute("npm", ["install", "--offline", "--no-audit", "--no-fund", "--prefix", folder, archive]);
  node = await startFakeNode(routes);
});
afterAll(async () => {
  await node[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Runs the installed command on Node.js 20, with no variables but `environment` and a PATH without another Node.js. */
async function runInstalled(argv: readonly string[], environment: Record<string, string> = {}): Promise<CliResult> {
  return runOnNode20([join(folder, "node_modules/.bin/routeplane"), ...argv], environment);
}

async function runOnNode20(argv: readonly string[], environment: Record<string, string> = {}): Promise<CliResult> {
  const env = { PATH: `${node20}:/usr/bin:/bin`, HOME: join(folder, "home"), TZ: "UTC", ...environment };
  try {
    return { code: 0, ...(await execute(join(node20, "node"), [...argv], { cwd: folder, env })) };
  } catch (error) {
    return error as CliResult;
  }
}

const signedIn = () => ({ ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_good" });

describe("the installed package, on Node.js 20", () => {
  it("has no dependencies", async () => {
    const visible = (await readdir(join(folder, "node_modules"))).filter((name) => !name.startsWith("."));
    expect(visible).toEqual(["@routeplane"]);
    expect(await readdir(join(folder, "node_modules/@routeplane"))).toEqual(["cli"]);
  });

  it("prints help and version", async () => {
    expect(await runInstalled(["--version"])).toMatchObject({
      code: 0,
      stdout: `${packageJson.version}\n`,
      stderr: "",
    });
    const help = await runInstalled(["help", "cloud", "keys", "mint"]);
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining("--scope <scopes>"), stderr: "" });
  });

  it("calls a node", async () => {
    const status = await runInstalled(["cloud", "status", "--json"], signedIn());
    expect(status).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(status.stdout)).toMatchObject({ url: node.url, healthy: true, namespace: { id: "ns_1" } });
    const tree = await runInstalled(["cloud", "keys", "list", "--tree"], signedIn());
    expect(tree).toMatchObject({ code: 0, stdout: expect.stringContaining("└── agent") });
  });

  it("answers a jq expression", async () => {
    const environment = { ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_good" };
    const listed = await runInstalled(["cloud", "keys", "list", "--jq", ".data[].id"], environment);
    expect(listed).toEqual({ code: 0, stdout: "key_1\nkey_2\n", stderr: "" });
    expect(await runInstalled(["cloud", "keys", "list", "--jq", "nothing"], environment)).toMatchObject({ code: 2 });
  });

  it("can load every command", async () => {
    const completion = await runInstalled(["completion", "bash"]);
    expect(completion).toMatchObject({ code: 0, stdout: expect.stringContaining("dead-letters"), stderr: "" });
  });

  it("runs a command under its own key", async () => {
    const command = ["run", "--limit-usd", "1", "--", "sh", "-c", 'echo "$OPENAI_API_KEY"; exit 7'];
    const ended = await runInstalled(command, signedIn());
    expect(ended).toMatchObject({ code: 7, stdout: "rp_live_sub\n", stderr: expect.stringContaining("key_3") });
    expect(await runInstalled(["run", "--", ""], signedIn())).toMatchObject({ code: 127 });
  });

  it("serves tools over MCP", async () => {
    const client = new Client({ name: "test", version: "1" });
    const args = [join(folder, "node_modules/.bin/routeplane"), "mcp"];
    const env = { PATH: `${node20}:/usr/bin:/bin`, HOME: join(folder, "home"), ...signedIn() };
    await client.connect(new StdioClientTransport({ command: join(node20, "node"), args, env, cwd: folder }));
    try {
      expect((await client.listTools()).tools.map(({ name }) => name)).toContain("get_usage");
      const { structuredContent } = await client.callTool({ name: "whoami" });
      expect(structuredContent).toMatchObject({ key: { id: "key_1" }, namespace: { id: "ns_1" } });
    } finally {
      await client.close();
    }
  });

  it("ends with the exit codes of the command", async () => {
    const { ROUTEPLANE_URL } = signedIn();
    expect(await runInstalled(["cloud", "stauts"])).toMatchObject({ code: 2 });
    expect(await runInstalled(["cloud", "status"])).toMatchObject({ code: 4 });
    expect(
      await runInstalled(["cloud", "status"], { ROUTEPLANE_URL, ROUTEPLANE_API_KEY: "rp_live_bad" }),
    ).toMatchObject({
      code: 4,
    });
    expect(
      await runInstalled(["cloud", "status"], { ...signedIn(), ROUTEPLANE_URL: "http://127.0.0.1:1" }),
    ).toMatchObject({ code: 1, stderr: expect.stringContaining("no node answers") });
  });

  it("stores the login with the user's settings", async () => {
    const settings = join(folder, "settings");
    const env = { ROUTEPLANE_URL: node.url, XDG_CONFIG_HOME: settings };
    expect(await runInstalled(["cloud", "login", "--api-key", "rp_live_good"], env)).toMatchObject({ code: 0 });
    expect(await readFile(join(settings, "routeplane/api-key"), "utf8")).toBe("rp_live_good\n");
    expect(await runInstalled(["cloud", "whoami"], { XDG_CONFIG_HOME: settings })).toMatchObject({ code: 0 });
  });

  it("says where to get a node, because it cannot run one", async () => {
    expect(await runInstalled(["up"])).toMatchObject({ code: 1, stderr: expect.stringContaining("npm start") });
  });

  it("runs where a checkout refuses to: on a Node.js that cannot run the sources", async () => {
    expect(await runOnNode20([CLI_BIN, "--version"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("needs Node 22.18 or newer"),
    });
  });
});
