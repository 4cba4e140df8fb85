import { Code, type ServiceImpl } from "@connectrpc/connect";
import { IdentityService, SessionService } from "@routeplane/contracts/auth";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const CODE = {
  code: "abc",
  expiresAt: { seconds: 1_777_593_600n, nanos: 0 },
  consoleUrl: "https://console.example.com",
};

/** Starts a node with a scripted `createSignInCode`. The login is a key of `ns_login`. */
const nodeWith = (createSignInCode: ServiceImpl<typeof SessionService>["createSignInCode"]): Promise<FakeNode> =>
  startFakeNode((router) => {
    router.service(SessionService, { createSignInCode });
    router.service(IdentityService, {
      whoAmI: () => ({ identity: { case: "key", value: { namespaceId: "ns_login" } } }),
    });
  });

const as = (url: string, more: Record<string, string> = {}): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
  ...more,
});
const OPERATOR = { ROUTEPLANE_OPERATOR_KEY: "rpo_live_env" };

describe.concurrent("console", () => {
  it("prints only the address without a terminal, also in JSON", async () => {
    await using node = await nodeWith(() => CODE);
    const text = await runCli(["console"], as(node.url));
    expect(text).toMatchObject({ code: 0, stdout: "https://console.example.com/sign-in#code=abc\n" });
    expect(text.stderr).toContain("once and within 60 s");
    const json = await runCli(["console", "--json"], as(node.url));
    expect(JSON.parse(json.stdout)).toEqual({
      url: "https://console.example.com/sign-in#code=abc",
      expires_at: "2026-05-01T00:00:00.000Z",
    });
    expect(node.authorizations).toEqual(["Bearer rp_live_env", "Bearer rp_live_env"]);
  });

  it("signs in with the operator credential if there is one, in the namespace of the login or the given one", async () => {
    const namespaces: string[] = [];
    await using node = await nodeWith(({ namespace }) => (namespaces.push(namespace), CODE));
    await runCli(["console"], as(node.url, OPERATOR));
    await runCli(["console", "--namespace", "staging"], as(node.url, OPERATOR));
    expect(namespaces).toEqual(["ns_login", "staging"]);
    expect(node.authorizations).toEqual(["Bearer rp_live_env", "Bearer rpo_live_env", "Bearer rpo_live_env"]);
  });

  it("signs in with the login if the operator credential may not act in namespaces, unless a namespace is given", async () => {
    const tokens: (string | null)[] = [];
    await using node = await nodeWith((_, { requestHeader }) => {
      tokens.push(requestHeader.get("authorization"));
      if (tokens.at(-1) === "Bearer rp_live_env") return CODE;
      throw refusal(Code.PermissionDenied, "SCOPE_MISSING", "the scope keys:write is missing");
    });
    expect((await runCli(["console"], as(node.url, OPERATOR))).code).toBe(0);
    expect(tokens).toEqual(["Bearer rpo_live_env", "Bearer rp_live_env"]);
    const given = await runCli(["console", "--namespace", "staging"], as(node.url, OPERATOR));
    expect([given.code, given.stderr]).toEqual([4, expect.stringContaining("keys:write")]);
  });

  it("names the setting to change if the node does not know the address of its console", async () => {
    await using node = await nodeWith(() => ({ ...CODE, consoleUrl: "" }));
    const { code, stdout, stderr } = await runCli(["console", "--json"], as(node.url));
    expect([code, stdout, JSON.parse(stderr)]).toMatchObject([
      1,
      "",
      { error: { reason: "CONSOLE_UNKNOWN", hint: expect.stringContaining("ROUTEPLANE_CONSOLE_URL") } },
    ]);
  });
});

describe.concurrent("cloud open", () => {
  it.each([
    [["cloud", "open"], ""],
    [["cloud", "open", "requests"], "?next=%2Frequests"],
    [["cloud", "open", "req_01jxyz"], "?next=%2Frequests%2Freq_01jxyz"],
    [["cloud", "open", "policy", "pol_01jxyz"], "?next=%2Fpolicies%2Fpol_01jxyz"],
    [["cloud", "open", "request", "req_01jxyz"], "?next=%2Frequests%2Freq_01jxyz"],
  ])("opens the page that %j names", async (argv, query) => {
    await using node = await nodeWith(() => CODE);
    const { stdout } = await runCli(argv, as(node.url));
    expect(stdout).toBe(`https://console.example.com/sign-in${query}#code=abc\n`);
  });

  it.each([
    [["cloud", "open", "svc_01jxyz"]],
    [["cloud", "open", "account", "x"]],
    [["cloud", "open", "request", "../keys"]],
    [["cloud", "open", "key", "a", "b"]],
  ])("refuses %j before it makes a code", async (argv) => {
    await using node = await nodeWith(() => CODE);
    expect((await runCli(argv, as(node.url))).code).toBe(2);
    expect(node.authorizations).toEqual([]);
  });
});
