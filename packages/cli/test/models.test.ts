import type { RequestListener } from "node:http";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { startFakeHttpServer } from "./fake-node.ts";

/** Runs `cloud models --json` on a server that answers so. @returns its exit code, list and error */
async function models(answer: RequestListener) {
  await using node = await startFakeHttpServer(answer);
  const settings = { ROUTEPLANE_HOME: "/nonexistent", ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_env" };
  const { code, stdout, stderr } = await runCli(["cloud", "models", "--json"], settings);
  expect(node.authorizations).toEqual(["Bearer rp_live_env"]);
  return { code, list: stdout && (JSON.parse(stdout) as unknown), error: stderr && JSON.parse(stderr).error };
}

const json = (status: number, body: object): RequestListener => {
  return (_, response) => response.writeHead(status).end(JSON.stringify(body));
};

describe("cloud models", () => {
  it("lists what the key may call, with what is known of it", async () => {
    const known = { status: "unavailable", context_tokens: 1000, capabilities: { tools: true, other: "?" } };
    const data = [
      { id: "echo", object: "model", created: 1, owned_by: "local", status: "available" },
      { id: "gpt-4o", object: "model", created: 1, owned_by: "openai", ...known },
    ];
    const rest = { status: "available", context_tokens: null, capabilities: {} };
    expect(await models(json(200, { object: "list", data }))).toMatchObject({
      code: 0,
      list: {
        data: [
          { id: "echo", provider: "local", ...rest },
          { id: "gpt-4o", provider: "openai", ...known, capabilities: { tools: true } },
        ],
        next_page_token: null,
      },
    });
  });

  it.each([
    [403, { code: "insufficient_scope", message: "no", scope: "inference:invoke" }, 4, "SCOPE_MISSING"],
    [401, { code: "invalid_api_key", message: "no" }, 4, "CREDENTIAL_INVALID"],
    [503, { code: "policy_unavailable", message: "later" }, 1, "DEPENDENCY_UNAVAILABLE"],
    [500, { code: 1 }, 1, "ANSWER_UNINTELLIGIBLE"],
    [200, { code: "x" }, 1, "ANSWER_UNINTELLIGIBLE"],
  ])("status %s with %j ends with an error", async (status, error, code, reason) => {
    expect(await models(json(status, { error }))).toMatchObject({ code, list: "", error: { reason } });
  });

  it.each([
    ["of no JSON", (response) => response.end("<html>")],
    ["that redirects", (response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end()],
    ["without end", (response) => void response.end(Buffer.alloc(17 * 1024 * 1024, "["))],
  ] satisfies [string, (response: Parameters<RequestListener>[1]) => void][])(
    "an answer %s ends with 1",
    async (_, answer) => {
      const { code, list } = await models((_, response) => answer(response));
      expect([code, list]).toEqual([1, ""]);
    },
  );
});
