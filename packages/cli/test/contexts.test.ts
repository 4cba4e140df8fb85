import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { IdentityService, KeyService, NamespaceService } from "@routeplane/contracts/auth";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const CREATED = { seconds: 1_777_593_600n, nanos: 0 };

/** Namespaces by the token of their key. */
const NAMESPACES: Readonly<Record<string, string>> = {
  rp_live_home: "default",
  rp_live_staging: "staging",
  rp_live_staging2: "staging",
  rp_live_prod: "production",
};

function routes(router: ConnectRouter): void {
  router.service(IdentityService, {
    whoAmI(_, { requestHeader }) {
      const token = requestHeader.get("authorization")?.replace("Bearer ", "") ?? "";
      const account = { id: "acc_1", name: "default" };
      if (token.startsWith("rpo_")) return { account, identity: { case: "operator", value: { operatorId: "op_1" } } };
      const name = NAMESPACES[token];
      if (name === undefined) throw refusal(Code.Unauthenticated, "CREDENTIAL_INVALID", "not a valid key");
      const key = { keyId: "key_1", name: "root", namespaceId: `ns_${name}`, namespaceName: name, scopes: ["keys:*"] };
      return { account, identity: { case: "key", value: key } };
    },
  });
  router.service(NamespaceService, {
    createNamespace: ({ name }) => ({ namespace: { id: "ns_3", name, accountId: "acc_1", createdAt: CREATED } }),
  });
  router.service(KeyService, {
    getKey: ({ id }) => ({ key: { id, name: "root", prefix: "rp_live_staging", createdAt: CREATED } }),
    rotateKey: ({ id }) => ({
      key: { id, name: "root", createdAt: CREATED },
      token: "rp_live_staging2",
      graceEndsAt: CREATED,
    }),
  });
}

let local: FakeNode;
let remote: FakeNode;
beforeAll(async () => {
  [local, remote] = await Promise.all([startFakeNode(routes), startFakeNode(routes)]);
});
afterAll(() => Promise.all([local, remote].map((node) => node[Symbol.asyncDispose]())));

let folder: string;
/** Home that ROUTEPLANE_HOME does not name, as in the installed package. */
let config: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-contexts-"));
  config = join(folder, "routeplane");
});
afterEach(() => rm(folder, { recursive: true }));

const environment = (): Record<string, string> => ({ XDG_CONFIG_HOME: folder, ROUTEPLANE_HOME: join(folder, "home") });

/** Runs a command line whose context is that of `context use`, because no variable names a home. */
const cloud = (line: string, variables: Record<string, string> = {}, stdin = "") =>
  runCli(["cloud", ...line.split(" ")], { XDG_CONFIG_HOME: folder, ...variables }, stdin, join(folder, "home"));

const logIn = (name: string, key: string, node: FakeNode) =>
  cloud(`login --name ${name} --url ${node.url} --api-key -`, {}, `${key}\n`);

/** Saves the login of a local node in the home, as its first start does. */
async function saveHome(): Promise<void> {
  await mkdir(join(folder, "home"), { recursive: true });
  await writeFile(join(folder, "home/api-key"), "rp_live_home\n");
  await writeFile(join(folder, "home/operator-key"), "rpo_live_home\n");
  await writeFile(join(folder, "home/url"), `${local.url}\n`);
}

/** Namespace of the key that a command line calls with, and whether the call reached the remote node. */
async function inUse(line = "whoami", variables: Record<string, string> = {}): Promise<string> {
  const before = remote.authorizations.length;
  const { code, stdout, stderr } = await cloud(`${line} --json`, variables);
  if (code !== 0) return `${code}: ${stderr}`;
  const { namespace } = JSON.parse(stdout) as { namespace: { name: string } | null };
  return `${namespace?.name ?? "none"} at ${remote.authorizations.length > before ? "remote" : "local"}`;
}

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

describe("a login with a name", () => {
  it("is stored for its owner only, with address and namespace, and is used from then on", async () => {
    await saveHome();
    const { code, stdout, stderr } = await logIn("prod", "rp_live_prod", remote);
    expect({ code, stdout: stdout.includes("production (ns_production)") }).toEqual({ code: 0, stdout: true });
    expect(stdout + stderr).not.toContain("rp_live_prod");
    expect(await inUse()).toBe("production at remote");
    expect(await modeOf(join(config, "contexts/prod.json"))).toBe(0o600);
    expect([await modeOf(config), await modeOf(join(config, "contexts"))]).toEqual([0o700, 0o700]);
    expect(await readFile(join(folder, "home/api-key"), "utf8")).toBe("rp_live_home\n");
  });

  it("narrows a folder that others could read", async () => {
    await mkdir(join(config, "contexts"), { recursive: true });
    await chmod(join(config, "contexts"), 0o755);
    await logIn("prod", "rp_live_prod", remote);
    expect(await modeOf(join(config, "contexts"))).toBe(0o700);
  });

  it("uses the current node without --url", async () => {
    await logIn("prod", "rp_live_prod", remote);
    await cloud("login --name staging --api-key rp_live_staging");
    expect(await inUse()).toBe("staging at remote");
  });

  it.each(["../evil", "a/b", "", ".hidden", "Prod", "x".repeat(64), "a\u0000b"])("is refused as %j", async (name) => {
    const argv = ["cloud", "login", "--name", name, "--api-key", "rp_live_prod"];
    const refused = await runCli(argv, { ...environment(), ROUTEPLANE_URL: remote.url });
    expect(refused).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("name of a context") });
  });

  it("is not saved, nor used, if the node refuses its key", async () => {
    await saveHome();
    expect(await logIn("bad", "rp_live_bad", remote)).toMatchObject({ code: 4, stdout: "" });
    expect(await inUse()).toBe("default at local");
    expect(await cloud("whoami --context bad")).toMatchObject({ code: 2 });
  });

  it("needs its key from an option where there is no terminal to ask on", async () => {
    const refused = await cloud(`login --name prod --url ${remote.url}`);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("--api-key -") });
  });

  it("refuses an address that can hold a password, without repeating it", async () => {
    const refused = await cloud("login --url http://me:hunter2@node --api-key rp_live_prod");
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("--url") });
    expect(refused.stderr).not.toContain("hunter2");
  });
});

describe("the context in use", () => {
  beforeEach(async () => {
    await saveHome();
    await logIn("staging", "rp_live_staging", local);
    await logIn("prod", "rp_live_prod", remote);
  });

  it("is that of --context, ROUTEPLANE_CONTEXT, ROUTEPLANE_HOME and `context use`, in this order", async () => {
    const other = join(folder, "other");
    await mkdir(other);
    await writeFile(join(other, "api-key"), "rp_live_staging2\n");
    await writeFile(join(other, "url"), local.url);
    const named = { ROUTEPLANE_HOME: other };
    expect(await inUse()).toBe("production at remote");
    expect(await inUse("whoami", named)).toBe("staging at local");
    expect(await inUse("whoami", { ...named, ROUTEPLANE_CONTEXT: "prod" })).toBe("production at remote");
    expect(await inUse("whoami --context home", { ...named, ROUTEPLANE_CONTEXT: "prod" })).toBe("staging at local");
    expect(await inUse("--context staging whoami")).toBe("staging at local");
    await cloud("context use home");
    expect(await inUse()).toBe("default at local");
    await cloud("contexts use staging");
    expect(await inUse()).toBe("staging at local");
  });

  it("yields to ROUTEPLANE_API_KEY and ROUTEPLANE_URL, each of which is used", async () => {
    const key = { ROUTEPLANE_API_KEY: "rp_live_staging" };
    expect(await inUse("whoami --context prod", key)).toBe("staging at remote");
    expect(await inUse("whoami --context prod", { ...key, ROUTEPLANE_URL: local.url })).toBe("staging at local");
  });

  it("is refused before any call if it is unknown or no valid name, with similar names", async () => {
    const calls = () => local.authorizations.length + remote.authorizations.length;
    const before = calls();
    expect(await cloud("whoami --context prd")).toMatchObject({ code: 2, stderr: expect.stringContaining("prod") });
    expect(await cloud("keys list", { ROUTEPLANE_CONTEXT: "../../home" })).toMatchObject({ code: 2, stdout: "" });
    expect(await cloud("context use nowhere")).toMatchObject({ code: 2, stdout: "" });
    expect(calls()).toBe(before);
  });

  it("that cannot be read is an error, and no other login is used instead", async () => {
    for (const text of ["", "{", "null", '{"url":1,"api_key":"rp_live_home","namespace":null}', "[]"]) {
      await writeFile(join(config, "contexts/prod.json"), text);
      expect(await cloud("whoami")).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringContaining("prod.json"),
      });
    }
  });

  it("uses the operator credential of the home only at the node of the home", async () => {
    const created = await cloud("namespace create x --context staging");
    expect({ created, by: local.authorizations.at(-1) }).toMatchObject({
      created: { code: 0 },
      by: "Bearer rpo_live_home",
    });
    const before = remote.authorizations.length;
    expect(await cloud("namespace create x --context prod")).toMatchObject({ code: 4, stdout: "" });
    expect(remote.authorizations).toHaveLength(before);
  });

  it("is named by status, in text and JSON", async () => {
    const { stdout } = await cloud("status --json");
    expect(JSON.parse(stdout)).toMatchObject({ context: "prod", credential_source: "saved", url: remote.url });
    expect((await cloud("status")).stdout).toContain("by the login in the context prod");
  });

  it("gets the new token of a key that is rotated", async () => {
    await cloud("context use staging");
    const rotated = await cloud("keys rotate key_1 --json");
    const path = join(config, "contexts/staging.json");
    expect(JSON.parse(rotated.stdout)).toMatchObject({ saved_in: [path] });
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ api_key: "rp_live_staging2", url: local.url });
    expect(await modeOf(path)).toBe(0o600);
    expect(await inUse()).toBe("staging at local");
  });

  it("loses its key at a logout but stays selected: no other login is used", async () => {
    await cloud("logout");
    expect(await cloud("whoami")).toMatchObject({ code: 4, stderr: expect.stringContaining("routeplane cloud login") });
    expect(await readFile(join(config, "contexts/prod.json"), "utf8")).not.toContain("rp_live");
    await cloud("login --api-key rp_live_prod");
    expect(await inUse()).toBe("production at remote");
    expect(await inUse("whoami --context staging")).toBe("staging at local");
  });

  it("is shown among all, without keys", async () => {
    const { stdout } = await cloud("context ls --json");
    expect(stdout).not.toContain("rp_live");
    const row = (name: string, url: string, namespace: object | null, current: boolean) => {
      return { name, url, namespace, signed_in: true, current };
    };
    expect(JSON.parse(stdout)).toMatchObject({
      data: [
        row("home", local.url, null, false),
        row("prod", remote.url, { id: "ns_production", name: "production" }, true),
        row("staging", local.url, { id: "ns_staging", name: "staging" }, false),
      ],
    });
    expect((await cloud("context list -o table")).stdout).toMatch(/^\* +prod +http/m);
  });

  it("is home after its deletion, which needs --yes without a terminal", async () => {
    expect(await cloud("context delete prod")).toMatchObject({ code: 2, stderr: expect.stringContaining("--yes") });
    expect(await cloud("context rm prod -y")).toMatchObject({ code: 0 });
    expect(await inUse()).toBe("default at local");
    expect(await cloud("context delete prod -y")).toMatchObject({ code: 2 });
    expect(await cloud("context delete home -y")).toMatchObject({ code: 2, stderr: expect.stringContaining("logout") });
  });
});

describe("namespace use", () => {
  beforeEach(async () => {
    await saveHome();
    await logIn("first", "rp_live_staging", local);
    await logIn("second", "rp_live_staging", remote);
    await logIn("prod", "rp_live_prod", remote);
  });

  it.each(["production", "ns_production"])("switches to the login of %s", async (namespace) => {
    await cloud("context use home");
    const used = await cloud(`namespace use ${namespace} --json`);
    expect(JSON.parse(used.stdout)).toMatchObject({ name: "prod", namespace: { id: "ns_production" } });
    expect(await inUse()).toBe("production at remote");
  });

  it("prefers the current node, and switches back to the login in the home", async () => {
    await cloud("namespace use staging");
    expect(await inUse()).toBe("staging at remote");
    await cloud("namespace use default");
    expect(await inUse()).toBe("default at local");
    await cloud("namespace use staging");
    expect(await inUse()).toBe("staging at local");
  });

  it("refuses a namespace that several logins have, names them, and switches nothing", async () => {
    await logIn("third", "rp_live_staging2", remote);
    const refused = await cloud("namespace use staging");
    expect(refused).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/second.*third/) });
    expect(await inUse()).toBe("staging at remote");
  });

  it("mints nothing for a namespace without a login, and says what to do: exit code 4", async () => {
    const before = local.authorizations.length;
    const refused = await cloud("namespace use nowhere");
    expect(refused).toMatchObject({
      code: 4,
      stdout: "",
      stderr: expect.stringMatching(/keys mint --namespace nowhere[^]*cloud login/),
    });
    expect(local.authorizations.slice(before)).toEqual(["Bearer rp_live_home"]);
    expect(await inUse()).toBe("production at remote");
  });

  it("does not need the node of the home", async () => {
    await writeFile(join(folder, "home/url"), "http://127.0.0.1:1");
    expect(await cloud("namespace use production")).toMatchObject({ code: 0 });
  });
});
