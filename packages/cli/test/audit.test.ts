import { AuditService as AuthAudit } from "@routeplane/contracts/auth";
import { AuditService as PolicyAudit } from "@routeplane/contracts/policy";
import { AuditService as UsageAudit } from "@routeplane/contracts/usage";
import { actionNames, AUTH_ACTIONS, POLICY_ACTIONS, USAGE_ACTIONS } from "@routeplane/audit/actions";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { startFakeNode } from "./fake-node.ts";

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
    ["--actor", "root", /key_, op_ and 26/],
    ["--actor", "key_1", /key_, op_ and 26/],
    ["--actor", "pol_01kayeqtfnexes8b2c1x4m9d7z", /key_, op_ and 26/],
    ["--target", "daily-cap", /pol_, bnd_/],
    ["--target", "req_01kayeqtfnexes8b2c1x4m9d7z", /pol_, bnd_/],
    ["--target", "POL_01KAYEQTFNEXES8B2C1X4M9D7Z", /pol_, bnd_/],
  ])("%s %s is not an id: exit code 2, without a call", async (option, text, message) => {
    const argv = ["cloud", "audit", "list", option, text];
    const { code, stdout, stderr } = await runCli(argv, environment("http://127.0.0.1:1"));
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: "", stderr: expect.stringMatching(message) });
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
