import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { AuditService as AuthAudit, KeyService } from "@routeplane/contracts/auth";
import { AuditService as PolicyAudit, PolicyService } from "@routeplane/contracts/policy";
import { AuditService as UsageAudit } from "@routeplane/contracts/usage";
import { actionNames, AUTH_ACTIONS, POLICY_ACTIONS, USAGE_ACTIONS } from "@routeplane/audit/actions";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { refusal, startFakeNode } from "./fake-node.ts";

const environment = (url: string) => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
});

/** Starts a node that records which logs are read, and for which action. */
async function startLogs() {
  const received: string[] = [];
  const log = (name: string) => ({
    listAuditEntries({ filter }: { readonly filter?: { readonly action: string } | undefined }) {
      received.push(`${name} ${filter?.action}`);
      return {};
    },
  });
  const node = await startFakeNode((router) => {
    router.service(AuthAudit, log("auth"));
    router.service(PolicyAudit, log("policy"));
    router.service(UsageAudit, log("usage"));
  });
  return { received, node };
}

describe.concurrent("audit list --actor and --target", () => {
  it.each([
    ["--actor", "key_1", /key_, op_, ses_ and 26/],
    ["--actor", "pol_01kayeqtfnexes8b2c1x4m9d7z", /key_, op_, ses_ and 26/],
    ["--target", "req_01kayeqtfnexes8b2c1x4m9d7z", /pol_, bnd_/],
    ["--target", "POL_01KAYEQTFNEXES8B2C1X4M9D7Z", /pol_, bnd_/],
  ])("%s %s is a broken id: exit code 2, without a call", async (option, text, message) => {
    const argv = ["cloud", "audit", "list", option, text];
    const { code, stdout, stderr } = await runCli(argv, environment("http://127.0.0.1:1"));
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: "", stderr: expect.stringMatching(message) });
  });

  it("take the name of a key or a policy, and refuse a name that a key and a policy share", async () => {
    await using node = await startNamedLog();
    const list = (...options: string[]) =>
      runCli(["cloud", "audit", "list", ...options, "--json"], environment(node.url));
    expect(await list("--actor", "my_agent", "--target", "cap")).toMatchObject({ code: 0 });
    expect(node.filters[0]).toMatchObject({ actorId: KEY, targetId: POLICY });
    expect(await list("--target", "my_agent")).toMatchObject({ code: 0 });
    expect(await list("--target", "both")).toMatchObject({ code: 1, stderr: expect.stringContaining("key_2, pol_2") });
    expect(await list("--target", "nobody")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("RESOURCE_NOT_FOUND"),
    });
  });
});

const KEY = "key_01kayeqtfnexes8b2c1x4m9d7z";
const POLICY = "pol_01kayeqtfnexes8b2c1x4m9d7z";
const ENTRY = "aud_01kayeqtfnexes8b2c1x4m9d7z";
const AT = { seconds: 1_777_593_600n, nanos: 0 };
const UPDATE = {
  id: ENTRY,
  createdAt: AT,
  actorType: "api_key",
  actorId: KEY,
  action: "policy.update",
  targetId: POLICY,
  before: { spec: { window: "day", limit_micro_usd: 5 }, tags: ["a"] },
  after: { spec: { window: "day", limit_micro_usd: 9 }, tags: ["a", "b"], note: "=1+1" },
};
const DELETION = {
  id: "aud_01kayeqtfnexes8b2c1x4m9d7a",
  createdAt: AT,
  actorType: "service",
  action: "policy.delete",
  targetId: "pol_gone",
  before: { name: "old cap" },
};

/** Starts a node with a log of two entries, a key and policies. It records filters and the keys that are read. */
async function startNamedLog(entries: readonly object[] = [UPDATE, DELETION]) {
  const filters: object[] = [];
  const read: string[] = [];
  const node = await startFakeNode((router) => {
    router.service(AuthAudit, { listAuditEntries: () => ({}) });
    router.service(UsageAudit, { listAuditEntries: () => ({}) });
    router.service(PolicyAudit, {
      listAuditEntries: ({ filter }) => {
        filters.push(filter ?? {});
        return { entries: entries.filter((entry) => !filter?.id || (entry as typeof UPDATE).id === filter.id) };
      },
    });
    router.service(KeyService, {
      listKeys: () => {
        read.push("list");
        return {
          keys: [
            { id: KEY, name: "my_agent" },
            { id: "key_2", name: "both" },
          ],
        };
      },
      getKey: ({ id }) => {
        read.push(id);
        return { key: { id, name: "my_agent" } };
      },
    });
    router.service(PolicyService, {
      listPolicies: () => ({
        policies: [
          { id: POLICY, name: "cap" },
          { id: "pol_2", name: "both" },
        ],
      }),
      getPolicy: ({ id }) => {
        if (id !== POLICY) throw refusal(Code.NotFound, "RESOURCE_NOT_FOUND", "there is none");
        return { policy: { id, name: "cap" } };
      },
    });
  });
  return { url: node.url, filters, read, [Symbol.asyncDispose]: () => node[Symbol.asyncDispose]() };
}

describe.concurrent("entries of the audit log", () => {
  it("name caller and target, and show each value before and after", async () => {
    await using node = await startNamedLog();
    const { stdout } = await runCli(["cloud", "audit", "list", "-o", "table"], environment(node.url));
    expect(stdout).toMatch(
      /my_agent +policy\.update +cap .*spec\.limit_micro_usd: 5 -> 9, tags: \["a"\] -> \["a","b"\]/,
    );
    expect(stdout).toMatch(/service +policy\.delete +old cap .*name: old cap/);
    const json = await runCli(["cloud", "audit", "list", "--json"], environment(node.url));
    expect(JSON.parse(json.stdout)).toMatchObject({
      data: [
        {
          actor_name: "my_agent",
          target_name: "cap",
          changes: [
            { field: "spec.limit_micro_usd", from: 5, to: 9 },
            { field: "tags", from: ["a"], to: ["a", "b"] },
            { field: "note", from: null, to: "=1+1" },
          ],
        },
        { actor_id: null, actor_name: null, target_name: "old cap", before: { name: "old cap" }, after: null },
      ],
    });
  });

  it("are shown singly by id; an unknown id is refused", async () => {
    await using node = await startNamedLog();
    const { stdout } = await runCli(["cloud", "audit", "get", ENTRY], environment(node.url));
    expect(stdout).toMatch(/^actor +api_key my_agent \(key_\w+\)$/m);
    expect(stdout).toMatch(/^changed +note: none -> =1\+1$/m);
    const other = await runCli(["cloud", "audit", "get", ENTRY.replace(/z$/, "b")], environment(node.url));
    expect(other).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("no entry aud_") });
    expect(await runCli(["cloud", "audit", "get", "5"], environment(node.url))).toMatchObject({ code: 2 });
  });

  it("are exported as CSV without formulas, and as one line of JSON each", async () => {
    await using node = await startNamedLog();
    const csv = await runCli(["cloud", "audit", "export", "--format", "csv"], environment(node.url));
    const [head, first, second, end] = csv.stdout.split("\r\n");
    expect(head).toBe(
      "id,created_at,actor_type,actor_id,actor_name,action,target_id,target_name,namespace_id,before,after,changes,request_id,address",
    );
    expect(first).toContain(`${ENTRY},2026-05-01T00:00:00.000Z,api_key,${KEY},my_agent,policy.update,${POLICY},cap,`);
    expect([second?.split(",")[7], end]).toEqual(["old cap", ""]);
    const jsonl = await runCli(["cloud", "audit", "export", "--format", "jsonl"], environment(node.url));
    expect(jsonl).toMatchObject({ code: 0, stderr: "2 entries\n" });
    expect(
      jsonl.stdout
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { id: string }).id),
    ).toEqual([ENTRY, DELETION.id]);
    expect(node.filters[0]).toMatchObject({ to: expect.anything() });
  });

  it("get the names of many keys by one list call instead of a call for each key", async () => {
    const many = Array.from({ length: 40 }, (_, n) => ({ ...UPDATE, actorId: `key_${n}` }));
    await using node = await startNamedLog(many);
    await runCli(["cloud", "audit", "list"], environment(node.url));
    expect(node.read).toEqual(["list"]);
    await using few = await startNamedLog();
    await runCli(["cloud", "audit", "list"], environment(few.url));
    expect(few.read).toEqual([KEY]);
  });
});

describe.concurrent("audit export --output", () => {
  it("resumes after an interruption with the entries of its original range, each exactly once", async () => {
    const received: { pageToken: string; from: bigint | undefined; to: bigint | undefined }[] = [];
    await using node = await startFakeNode((router) => {
      router.service(PolicyAudit, {
        listAuditEntries: ({ pageToken, filter }) => {
          received.push({ pageToken, from: filter?.from?.seconds, to: filter?.to?.seconds });
          if (received.length === 2) throw refusal(Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "away");
          return pageToken === "" ? { entries: [UPDATE], nextPageToken: "t1" } : { entries: [DELETION] };
        },
      });
      router.service(KeyService, { getKey: ({ id }) => ({ key: { id, name: "my_agent" } }) });
      router.service(PolicyService, { getPolicy: ({ id }) => ({ policy: { id, name: "cap" } }) });
    });
    const folder = await mkdtemp(join(tmpdir(), "routeplane-audit-"));
    const output = join(folder, "log.jsonl");
    const selected = ["--action", "policy.update", "--since", "24h", "--actor", KEY];
    const argv = ["cloud", "audit", "export", "--format", "jsonl", "--output", output, ...selected];
    const run = (...options: string[]) => runCli([...argv, ...options], environment(node.url));
    expect(await run()).toMatchObject({ code: 1, stdout: "" });
    expect(await run()).toMatchObject({ code: 2, stderr: expect.stringContaining("--resume") });
    expect(await run("--target", POLICY, "--resume")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("had other options"),
    });
    const resumed = await run("--resume", "--json");
    expect(resumed).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(resumed.stdout)).toEqual({ file: output, format: "jsonl", entry_count: 2 });
    const [first, second, repeated] = received.map(({ pageToken }) => pageToken);
    expect([received.length, first, second]).toEqual([3, "", expect.stringMatching(/./)]);
    expect(repeated).toBe(second);
    expect(new Set(received.map(({ from, to }) => `${from} ${to}`)).size).toBe(1);
    const lines = (await readFile(output, "utf8")).trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual([ENTRY, DELETION.id]);
    expect(await readdir(folder)).toEqual(["log.jsonl"]);
    await rm(folder, { recursive: true });
  });

  it("cannot be resumed on stdout: exit code 2, without a call", async () => {
    const argv = ["cloud", "audit", "export", "--format", "csv", "--resume"];
    expect(await runCli(argv, environment("http://127.0.0.1:1"))).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("only an export to a file can be resumed"),
    });
  });

  it("leaves stdout empty, without the CSV header, if the first call is refused", async () => {
    await using node = await startFakeNode((router) => {
      router.service(AuthAudit, {
        listAuditEntries: () => Promise.reject(refusal(Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "away")),
      });
    });
    const argv = ["cloud", "audit", "export", "--format", "csv", "--action", "key.revoke"];
    expect(await runCli(argv, environment(node.url))).toMatchObject({ code: 1, stdout: "" });
  });
});

describe.concurrent("audit list --action", () => {
  it("reads the log that has the action, and all logs without an action", async () => {
    const { received, node } = await startLogs();
    await using _ = node;
    for (const action of ["key.revoke", "policy.disable", "dead_letter.replay"]) {
      const argv = ["cloud", "audit", "list", "--action", action, "--json"];
      expect(await runCli(argv, environment(node.url))).toMatchObject({ code: 0, stderr: "" });
    }
    expect(received.splice(0)).toEqual(["auth key.revoke", "policy policy.disable", "usage dead_letter.replay"]);
    await runCli(["cloud", "audit", "list"], environment(node.url));
    expect(received.toSorted()).toEqual(["auth ", "policy ", "usage "]);
  });

  it.each([
    ["key.revoked", /one of key\.create, key\.revoke, key\.rotate, key\.update\./],
    ["key", /one of key\.create, key\.revoke, key\.rotate, key\.update\./],
    ["namespace.update", /namespace\.suspend/],
    ["Key.revoke", /account\.create.*policy\.update/],
    ["nothing", /account\.create.*dead_letter\.replay/],
  ])("%s is an unknown action: exit code 2, with the known ones, without a call", async (action, message) => {
    const argv = ["cloud", "audit", "list", "--action", action];
    const { code, stdout, stderr } = await runCli(argv, environment("http://127.0.0.1:1"));
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: "", stderr: expect.stringMatching(message) });
  });

  it("accepts every action of every log", async () => {
    const { received, node } = await startLogs();
    await using _ = node;
    const names = [AUTH_ACTIONS, POLICY_ACTIONS, USAGE_ACTIONS].flatMap(actionNames);
    for (const action of names) await runCli(["cloud", "audit", "list", "--action", action], environment(node.url));
    expect(received.map((entry) => entry.split(" ")[1])).toEqual(names);
  });
});
