import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { IdentityService, KeyService, OperatorService } from "@routeplane/contracts/auth";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

/** Effects of a rotation on the tokens that are saved on this machine. */

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const OLD = { key: "rp_live_old11111_secret", operator: "rpo_live_old22222_secret" };
const NEW = { key: "rp_live_new11111_secret", operator: "rpo_live_new22222_secret" };
const LOWER = "rp_live_low33333_secret";

let home: string;
let node: FakeNode;
const graces: (bigint | undefined)[] = [];

/** Starts a node on which `key_1` has the old key token, `op_1` the old operator token, and `key_2` is below `key_1`. */
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-cli-"));
  graces.length = 0;
  const prefixes: Record<string, string> = { key_1: "rp_live_old11111", key_2: "rp_live_low33333" };
  node = await startFakeNode((router) => {
    router.service(IdentityService, {
      whoAmI: (_, { requestHeader }) =>
        requestHeader.get("authorization")?.includes("rpo_")
          ? { identity: { case: "operator", value: { operatorId: "op_1" } } }
          : { identity: { case: "key", value: { keyId: "key_1" } } },
    });
    router.service(KeyService, {
      getKey: ({ id }) => ({ key: { id, name: "k", prefix: prefixes[id] ?? "", createdAt: AT } }),
      rotateKey({ id, grace }) {
        graces.push(grace?.seconds);
        if (id === "key_dead") throw refusal(Code.FailedPrecondition, "STATE_CONFLICT", "it stays as it is");
        return { key: { id, name: "k", createdAt: AT }, token: NEW.key, graceEndsAt: AT };
      },
    });
    router.service(OperatorService, {
      getOperator: ({ id }) => ({ operator: { id, name: "o", prefix: "rpo_live_old22222", createdAt: AT } }),
      rotateOperator({ id, grace }) {
        graces.push(grace?.seconds);
        return { operator: { id, name: "o", createdAt: AT }, token: NEW.operator, graceEndsAt: AT };
      },
    });
  });
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

const save = (files: Record<string, string>) =>
  Promise.all(Object.entries(files).map(([name, token]) => writeFile(join(home, name), `${token}\n`, { mode: 0o600 })));
const saved = async (name: string) => (await readFile(join(home, name), "utf8")).trim();
const run = (argv: string, environment: Record<string, string> = {}) =>
  runCli(argv.split(" "), { ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url, ...environment });

describe("a rotation", () => {
  it("of the key of the saved login saves the new token, for its owner only, and reports that", async () => {
    await save({ "api-key": OLD.key, "operator-key": OLD.operator });
    const { code, stdout, stderr } = await run("cloud keys rotate key_1");
    expect({ code, token: stdout.match(/rp_live_new11111_secret/g) }).toEqual({ code: 0, token: [NEW.key] });
    expect(stderr).toContain(`Saved the new one in ${home}/api-key`);
    expect(stderr).toContain("until 2026-05-01 00:00:00");
    expect(stderr).toContain("only to invoke and read");
    expect(await saved("api-key")).toBe(NEW.key);
    expect((await stat(join(home, "api-key"))).mode & 0o777).toBe(0o600);
    expect(await saved("operator-key")).toBe(OLD.operator);
    expect((await readdir(home)).toSorted()).toEqual(["api-key", "operator-key"]);
    await run("cloud whoami");
    expect(node.authorizations.at(-1)).toBe(`Bearer ${NEW.key}`);
  });

  it("of the saved operator credential saves its new token", async () => {
    await save({ "api-key": OLD.key, "operator-key": OLD.operator });
    const { code, stdout } = await run("cloud operator rotate op_1 --json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      id: "op_1",
      token: NEW.operator,
      grace_ends_at: "2026-05-01T00:00:00.000Z",
      saved_in: [join(home, "operator-key")],
    });
    expect([await saved("operator-key"), await saved("api-key")]).toEqual([NEW.operator, OLD.key]);
  });

  it("of an operator credential that is the login saves it in every file that has the old token", async () => {
    await save({ "api-key": OLD.operator, "operator-key": OLD.operator });
    expect((await run("cloud operator rotate op_1")).code).toBe(0);
    expect([await saved("operator-key"), await saved("api-key")]).toEqual([NEW.operator, NEW.operator]);
  });

  it("of the key in the environment saves nothing, and names the variable to change", async () => {
    await save({ "api-key": LOWER });
    const { code, stderr } = await run("cloud keys rotate key_1", { ROUTEPLANE_API_KEY: OLD.key });
    expect(code).toBe(0);
    expect(stderr).toContain("ROUTEPLANE_API_KEY still holds the old one");
    expect(stderr).not.toContain("Saved");
    expect(await saved("api-key")).toBe(LOWER);
    const operator = await run("cloud operator rotate op_1", { ROUTEPLANE_OPERATOR_KEY: OLD.operator });
    expect(operator.stderr).toContain("ROUTEPLANE_OPERATOR_KEY still holds the old one");
  });

  it("of the key in both the environment and the saved login saves it and names the variable", async () => {
    await save({ "api-key": OLD.key });
    const { stderr } = await run("cloud keys rotate key_1", { ROUTEPLANE_API_KEY: OLD.key });
    expect(stderr).toMatch(/Saved the new one[^]*ROUTEPLANE_API_KEY still holds/);
    expect(await saved("api-key")).toBe(NEW.key);
  });

  it("of another key saves its new token if that key is the login, and leaves other logins unchanged", async () => {
    await save({ "api-key": LOWER });
    await run("cloud keys rotate key_2", { ROUTEPLANE_API_KEY: OLD.key });
    expect(await saved("api-key")).toBe(NEW.key);
    await save({ "api-key": OLD.key });
    const { stderr } = await run("cloud keys rotate key_2");
    expect(stderr).not.toContain("Saved");
    expect(await saved("api-key")).toBe(OLD.key);
  });

  it("leaves saved tokens unchanged if it is refused", async () => {
    await save({ "api-key": OLD.key });
    expect((await run("cloud keys rotate key_dead")).code).toBe(1);
    expect(await saved("api-key")).toBe(OLD.key);
  });

  it("shows the token if it cannot be saved, and fails with advice", async () => {
    // The path is short enough for the file, but too long for the temporary file beside it.
    const deep = home + "/d".repeat((4075 - home.length) >> 1);
    await mkdir(deep, { recursive: true });
    await writeFile(join(deep, "api-key"), OLD.key);
    const { code, stdout, stderr } = await run("cloud keys rotate key_1", { ROUTEPLANE_HOME: deep });
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining(NEW.key) });
    expect(stderr).toMatch(/was rotated, but its new token cannot be saved[^]*Write the token above/);
    expect(await readFile(join(deep, "api-key"), "utf8")).toBe(OLD.key);
  });

  it("after a leak leaves no grace", async () => {
    await save({ "api-key": OLD.key, "operator-key": OLD.operator });
    const key = await run("cloud keys rotate key_1 --leaked");
    expect(key.stderr).toContain("No earlier token works any more");
    await run("cloud operator rotate op_1 --leaked");
    await run("cloud keys rotate key_1");
    expect(graces).toEqual([0n, 0n, undefined]);
  });

  it.each(["keys rotate key_1", "operator rotate op_1"])(
    "%s with both --leaked and --grace ends with 2, without a call",
    async (command) => {
      for (const options of ["--leaked --grace 1h", "--grace 0 --leaked"]) {
        const argv = ["cloud", ...command.split(" "), ...options.split(" ")];
        const { code, stderr } = await runCli(argv, { ROUTEPLANE_URL: "http://127.0.0.1:1", ROUTEPLANE_API_KEY: "x" });
        expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining("--grace") });
      }
    },
  );
});
