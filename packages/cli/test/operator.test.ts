import { Code, type ServiceImpl } from "@connectrpc/connect";
import { IdentityService, type MintOperatorRequest, OperatorService } from "@routeplane/contracts/auth";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const OPERATOR = {
  id: "op_1",
  name: "ci",
  prefix: "rpo_live_abcdefgh",
  scopes: ["namespaces:*"],
  parentId: "op_0",
  createdAt: AT,
};
const SHOWN = {
  id: "op_1",
  name: "ci",
  prefix: "rpo_live_abcdefgh",
  scopes: ["namespaces:*"],
  parent_id: "op_0",
  account_id: null,
  created_at: "2026-05-01T00:00:00.000Z",
  expires_at: null,
  revoked_at: null,
  revoked_reason: null,
};

/** Starts a node for which the caller is `self`. */
const nodeWith = (operators: Partial<ServiceImpl<typeof OperatorService>>, self = "op_0"): Promise<FakeNode> =>
  startFakeNode((router) => {
    router.service(OperatorService, operators);
    router.service(IdentityService, {
      whoAmI: () => ({ identity: { case: "operator", value: { operatorId: self } } }),
    });
  });

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
  ROUTEPLANE_OPERATOR_KEY: "rpo_live_env",
});

describe.concurrent("operator", () => {
  it("mint sends the options as the operator, and shows the token once", async () => {
    const received: MintOperatorRequest[] = [];
    await using node = await nodeWith({
      mintOperator: (request) => (received.push(request), { operator: OPERATOR, token: "rpo_live_secret" }),
    });
    const argv = ["cloud", "operator", "mint", "--name", "ci", "--scope", "namespaces:read, keys:write"];
    const more = ["--expires-at", "2026-05-01T02:00:00+02:00", "--account", "team-a"];
    const json = await runCli([...argv, ...more, "--json"], as(node.url));
    expect(json).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(json.stdout)).toEqual({ ...SHOWN, token: "rpo_live_secret" });
    expect(received).toMatchObject([
      { name: "ci", scopes: ["namespaces:read", "keys:write"], expiresAt: AT, account: "team-a" },
    ]);
    expect(node.authorizations).toEqual(["Bearer rpo_live_env"]);
    const text = await runCli(argv, as(node.url));
    expect(text.stdout.match(/rpo_live_secret/g)).toHaveLength(1);
    expect(text.stderr).toContain("shown once");
    expect(received[1]).toMatchObject({ account: "" });
    expect(received[1]?.expiresAt).toBeUndefined();
  });

  it("list and get show the account that a credential is limited to, and no token", async () => {
    const limited = { ...OPERATOR, id: "op_2", accountId: "acc_1", revokedAt: AT, revokedReason: "left\u001b[2J" };
    await using node = await nodeWith({
      listOperators: ({ pageToken }) =>
        pageToken === "" ? { operators: [OPERATOR], nextPageToken: "more" } : { operators: [limited] },
      getOperator: () => ({ operator: limited }),
    });
    const list = await runCli(["cloud", "operator", "list", "--json"], as(node.url));
    const revoked = { revoked_at: SHOWN.created_at, revoked_reason: limited.revokedReason };
    expect(JSON.parse(list.stdout)).toEqual({
      data: [SHOWN, { ...SHOWN, id: "op_2", account_id: "acc_1", ...revoked }],
      next_page_token: null,
    });
    const table = await runCli(["cloud", "operator", "list", "--output", "table"], as(node.url));
    expect(table.stdout).toMatch(/op_1 .* active +all /);
    expect(table.stdout).toMatch(/op_2 .* revoked +acc_1 /);
    const get = await runCli(["cloud", "operator", "get", "op_2"], as(node.url));
    expect(get.stdout).toMatch(/^account +acc_1$/m);
    expect(get.stdout).toMatch(/^reason +left\\u001b\[2J$/m);
  });

  it("rotate of the credential in use names where the new token was saved", async () => {
    const rotateOperator = () => ({ operator: OPERATOR, token: "rpo_live_new", graceEndsAt: AT });
    await using node = await nodeWith({ rotateOperator }, "op_1");
    const { code, stdout, stderr } = await runCli(
      ["cloud", "operator", "rotate", "op_1", "--grace", "0s"],
      as(node.url),
    );
    expect({ code, token: stdout.match(/rpo_live_new/g) }).toEqual({ code: 0, token: ["rpo_live_new"] });
    expect(stderr).toMatch(/No earlier token works[^]*ROUTEPLANE_OPERATOR_KEY/);
    await using other = await nodeWith({ rotateOperator });
    expect((await runCli(["cloud", "operator", "rotate", "op_1"], as(other.url))).stderr).not.toContain("ROUTEPLANE_");
  });

  it.each([
    [Code.PermissionDenied, "OPERATOR_OUT_OF_LINEAGE", 4],
    [Code.PermissionDenied, "SCOPE_MISSING", 4],
    [Code.FailedPrecondition, "STATE_CONFLICT", 1],
    [Code.NotFound, "RESOURCE_NOT_FOUND", 1],
  ])("revoke refused with %i %s ends with exit code %i", async (code, reason, exitCode) => {
    await using node = await nodeWith({
      revokeOperator: () => {
        throw refusal(code, reason, "the message");
      },
    });
    const result = await runCli(["cloud", "operator", "revoke", "op_1", "--json"], as(node.url));
    expect(result).toMatchObject({ code: exitCode, stdout: "" });
    expect(JSON.parse(result.stderr)).toMatchObject({ error: { reason } });
  });

  it.each([
    [["mint", "--name", "x"], "--scope"],
    [["mint", "--name", " ", "--scope", "audit:read"], "blank"],
    [["mint", "--name", "x", "--scope", ","], "at least one scope"],
    [["mint", "--name", "x", "--scope", "audit:read", "--expires-at", "2027-01-01T00:00:00"], "offset"],
    [["rotate", "op_1", "--grace", "8d"], "7d"],
    [["revoke"], "missing required argument"],
    [["get", " "], "blank"],
  ])("%j ends with 2, without a call", async (argv, message) => {
    const { code, stderr } = await runCli(["cloud", "operator", ...argv], as("http://127.0.0.1:1"));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  });

  it.each(["mint", "list", "get", "rotate", "revoke"])("%s has help with examples", async (command) => {
    const { code, stdout } = await runCli(["cloud", "operator", command, "--help"], as("http://127.0.0.1:1"));
    expect(code).toBe(0);
    expect(stdout).toContain(`$ routeplane cloud operator ${command}`);
  });
});
