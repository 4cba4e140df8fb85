import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { IdentityService, NamespaceService } from "@routeplane/contracts/auth";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const CREATED = { seconds: 1_777_593_600n, nanos: 0 };

function routes(router: ConnectRouter): void {
  router.service(IdentityService, {
    whoAmI(_, { requestHeader }) {
      const token = requestHeader.get("authorization");
      if (token === "Bearer rp_live_bad") throw refusal(Code.Unauthenticated, "CREDENTIAL_INVALID", "not a valid key");
      const account = { id: "acc_1", name: "default" };
      if (token?.includes("rpo_"))
        return { account, identity: { case: "operator", value: { operatorId: "op_1", name: "o" } } };
      const key = { keyId: "key_1", name: "root", namespaceId: "ns_1", namespaceName: "default", scopes: ["keys:*"] };
      return { account, identity: { case: "key", value: key } };
    },
  });
  router.service(NamespaceService, {
    // As on a node: an operator sees all namespaces and is bound to none, a key sees its own.
    listNamespaces(_, { requestHeader }) {
      const token = requestHeader.get("authorization");
      if (token === "Bearer rpo_live_foreign") throw refusal(Code.Unauthenticated, "CREDENTIAL_INVALID", "invalid");
      if (token?.includes("rp_"))
        return { namespaces: [{ id: "ns_1", name: "default", active: true, createdAt: CREATED }] };
      return {
        namespaces: [
          { id: "ns_1", name: "default", createdAt: CREATED },
          { id: "ns_2", name: "staging", createdAt: CREATED },
        ],
      };
    },
    getNamespace: ({ namespace }) => ({ namespace: { id: "ns_1", name: namespace, createdAt: CREATED } }),
    createNamespace: ({ name }) => ({ namespace: { id: "ns_3", name, accountId: "acc_1", createdAt: CREATED } }),
  });
}

/** One command of each group that needs an operator. */
const OPERATOR_COMMANDS = [
  "namespace create prod",
  "namespace rename staging pre",
  "namespace suspend staging",
  "namespace resume staging",
  "namespace delete staging --yes",
  "namespace restore ns_2",
  "account list",
  "account create team-a",
  "operator list",
  "operator mint --name ci --scope audit:read",
  "keys mint --name ci --scope keys:read --namespace staging",
  "audit list --node",
  "audit list --namespace staging",
  "usage --all-namespaces",
];

let home: string;
let node: FakeNode;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-cli-"));
  node = await startFakeNode(routes);
});

afterEach(async () => {
  await node[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

const save = (file: string, value: string): Promise<void> => writeFile(join(home, file), `${value}\n`);

describe("the credential in use", () => {
  it("is the saved login, at the saved address", async () => {
    await save("api-key", "rp_live_saved");
    await save("url", node.url);
    expect(await runCli(["cloud", "whoami"], { ROUTEPLANE_HOME: home })).toMatchObject({ code: 0 });
    expect(node.authorizations).toEqual(["Bearer rp_live_saved"]);
  });

  it("is the key of the environment, in preference to the saved login", async () => {
    await save("api-key", "rp_live_saved");
    await save("url", "http://127.0.0.1:1");
    const environment = { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: `${node.url}/`, ROUTEPLANE_API_KEY: "rp_live_env" };
    expect(await runCli(["cloud", "whoami"], environment)).toMatchObject({ code: 0 });
    expect(node.authorizations).toEqual(["Bearer rp_live_env"]);
  });

  it("is missing without either: exit code 4, with advice", async () => {
    const text = await runCli(["cloud", "keys", "list"], { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url });
    expect(text).toMatchObject({ code: 4, stdout: "", stderr: expect.stringContaining("routeplane cloud login") });
    const json = await runCli(["cloud", "status", "--json"], { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url });
    expect(json.code).toBe(4);
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: "unauthenticated", reason: "CREDENTIAL_MISSING" } });
    expect(node.authorizations).toEqual([]);
  });

  it("is the saved operator credential for commands that need an operator", async () => {
    await save("api-key", "rp_live_saved");
    await save("operator-key", "rpo_live_saved");
    await save("url", node.url);
    const created = await runCli(["cloud", "namespace", "create", "prod", "--json"], { ROUTEPLANE_HOME: home });
    expect(JSON.parse(created.stdout)).toEqual({
      id: "ns_3",
      name: "prod",
      account_id: "acc_1",
      active: false,
      created_at: "2026-05-01T00:00:00.000Z",
      suspended_at: null,
      deleted_at: null,
      restorable_until: null,
    });
    expect(node.authorizations).toEqual(["Bearer rpo_live_saved"]);
  });

  it("is an operator token from the environment, at any address", async () => {
    const environment = { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url };
    await runCli(["cloud", "namespace", "create", "a"], { ...environment, ROUTEPLANE_API_KEY: "rpo_live_env" });
    await runCli(["cloud", "namespace", "create", "b"], { ...environment, ROUTEPLANE_OPERATOR_KEY: "rpo_live_op" });
    expect(node.authorizations).toEqual(["Bearer rpo_live_env", "Bearer rpo_live_op"]);
  });

  it.each(OPERATOR_COMMANDS)(
    "does not use the saved operator credential for `%s` with ROUTEPLANE_API_KEY set",
    async (line) => {
      await save("operator-key", "rpo_live_saved");
      const argv = ["cloud", ...line.split(" ")];
      const environment = { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url };
      const refused = await runCli(argv, { ...environment, ROUTEPLANE_API_KEY: "rp_live_env" });
      expect({ ...refused, calls: node.authorizations }).toEqual({
        code: 4,
        stdout: "",
        stderr: expect.stringMatching(
          /ROUTEPLANE_API_KEY is set[^]*unset ROUTEPLANE_API_KEY[^]*ROUTEPLANE_OPERATOR_KEY/i,
        ),
        calls: [],
      });
      await runCli(argv, { ...environment, ROUTEPLANE_API_KEY: "rp_live_env", ROUTEPLANE_OPERATOR_KEY: "rpo_live_op" });
      await runCli(argv, environment);
      expect(new Set(node.authorizations)).toEqual(new Set(["Bearer rpo_live_op", "Bearer rpo_live_saved"]));
    },
  );

  it("lists namespaces as the key that ROUTEPLANE_API_KEY names", async () => {
    await save("operator-key", "rpo_live_saved");
    const environment = { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_env" };
    await runCli(["cloud", "namespace", "list"], environment);
    expect(node.authorizations).toEqual(["Bearer rp_live_env"]);
  });

  it("sends the local node's operator credential to no other node", async () => {
    await save("operator-key", "rpo_live_saved");
    const environment = { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: "http://node.invalid" };
    const { code, stderr } = await runCli(["cloud", "namespace", "create", "prod"], environment);
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining("ROUTEPLANE_OPERATOR_KEY") });
  });
});

describe("login and logout", () => {
  it("saves a valid key, for its owner only, with the address", async () => {
    const environment = { ROUTEPLANE_HOME: join(home, "new"), ROUTEPLANE_URL: node.url };
    const { code, stdout, stderr } = await runCli(["cloud", "login", "--api-key", "-"], environment, "rp_live_new\n");
    expect({ code, stdout: stdout.includes("default (ns_1)") }).toEqual({ code: 0, stdout: true });
    expect(stdout + stderr).not.toContain("rp_live_new");
    expect(await readFile(join(home, "new/api-key"), "utf8")).toBe("rp_live_new\n");
    expect((await stat(join(home, "new/api-key"))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(home, "new/url"), "utf8")).toBe(`${node.url}\n`);
  });

  it.each([
    ["one that the node refuses", "rp_live_bad"],
    ["one that cannot be a key", "rp live\u0007"],
  ])("does not save %s: exit code 4", async (_, key) => {
    await save("api-key", "rp_live_saved");
    const environment = { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url };
    const { code, stdout, stderr } = await runCli(["cloud", "login", "--api-key", key], environment);
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).not.toContain(key);
    expect(await readFile(join(home, "api-key"), "utf8")).toBe("rp_live_saved\n");
  });

  it("gives advice when the login cannot be saved", async () => {
    await save("file", "");
    const environment = { ROUTEPLANE_HOME: join(home, "file"), ROUTEPLANE_URL: node.url };
    const { code, stderr } = await runCli(["cloud", "login", "--api-key", "rp_live_new"], environment);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("ROUTEPLANE_HOME") });
  });

  it("removes the key, and can be repeated", async () => {
    await save("api-key", "rp_live_saved");
    const environment = { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url };
    for (let time = 0; time < 2; time++)
      expect(await runCli(["cloud", "logout"], environment)).toMatchObject({ code: 0 });
    expect(await runCli(["cloud", "whoami"], environment)).toMatchObject({ code: 4 });
  });

  it("says how the operator of a local node signs in again after logout", async () => {
    await save("api-key", "rp_live_saved");
    await save("operator-key", "rpo_live_saved");
    const environment = { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url };
    await runCli(["cloud", "logout"], environment);
    const { code, stderr } = await runCli(["cloud", "whoami"], environment);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: expect.stringMatching(
        /not signed in\n.*\n {2}routeplane cloud keys mint --namespace default .*\n {2}routeplane cloud login\n/,
      ),
    });
  });
});

describe("status and namespaces", () => {
  const environment = (): Record<string, string> => ({
    ROUTEPLANE_HOME: home,
    ROUTEPLANE_URL: node.url,
    ROUTEPLANE_API_KEY: "rp_live_env",
  });

  const listed = (environment: Record<string, string>, ...options: string[]) =>
    runCli(["cloud", "namespace", "list", ...options], {
      ROUTEPLANE_HOME: home,
      ROUTEPLANE_URL: node.url,
      ...environment,
    });

  it("show all namespaces to an operator credential, with the active one marked", async () => {
    await save("api-key", "rp_live_saved");
    await save("operator-key", "rpo_live_saved");
    expect(await listed({})).toEqual({ code: 0, stdout: "ns_1 default (active)\nns_2 staging\n", stderr: "" });
    expect(new Set(node.authorizations)).toEqual(new Set(["Bearer rpo_live_saved", "Bearer rp_live_saved"]));
    const { data } = JSON.parse((await listed({}, "--json")).stdout) as { data: { id: string; active: boolean }[] };
    expect(data.map(({ id, active }) => [id, active])).toEqual([
      ["ns_1", true],
      ["ns_2", false],
    ]);
    const get = await runCli(["cloud", "namespace", "get", "x"], { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url });
    expect(get.stdout).toBe("ns_1 x (active)\n");
  });

  it("mark no namespace as active for an operator whose login is refused or missing", async () => {
    await save("operator-key", "rpo_live_saved");
    const all = { code: 0, stdout: "ns_1 default\nns_2 staging\n", stderr: "" };
    expect(await listed({})).toEqual(all);
    await save("api-key", "rp_live_bad");
    expect(await listed({})).toEqual(all);
    await save("api-key", "rpo_live_login");
    expect(await listed({})).toEqual(all);
  });

  it("show its own namespace to a key", async () => {
    expect(await listed(environment())).toEqual({ code: 0, stdout: "ns_1 default (active)\n", stderr: "" });
  });

  it("show the namespace of the login, with a note, if the saved operator credential belongs to another node", async () => {
    await save("api-key", "rp_live_saved");
    await save("operator-key", "rpo_live_foreign");
    const { code, stdout, stderr } = await listed({});
    expect({ code, stdout }).toEqual({ code: 0, stdout: "ns_1 default (active)\n" });
    expect(stderr).toContain("not valid on this node");
    const given = await listed({ ROUTEPLANE_OPERATOR_KEY: "rpo_live_foreign" });
    expect(given).toMatchObject({ code: 4, stdout: "" });
  });

  it("show the account, the bound namespace, the key and the node", async () => {
    const { stdout } = await runCli(["cloud", "status"], environment());
    expect(stdout).toBe(
      [
        `node       ${node.url} (healthy)`,
        "account    default (acc_1)",
        "namespace  default (ns_1)",
        "key        root (key_1)",
        "scopes     keys:*",
        "expires    never",
        "signed in  by the environment",
        "",
      ].join("\n"),
    );
    const json = await runCli(["cloud", "status", "--json"], environment());
    expect(JSON.parse(json.stdout)).toEqual({
      url: node.url,
      healthy: true,
      credential_source: "environment",
      context: null,
      account: { id: "acc_1", name: "default" },
      namespace: { id: "ns_1", name: "default" },
      key: { id: "key_1", name: "root", scopes: ["keys:*"], expires_at: null, grace_ends_at: null },
      operator: null,
    });
  });
});
