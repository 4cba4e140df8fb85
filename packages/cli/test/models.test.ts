import type { RequestListener } from "node:http";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { startFakeHttpServer } from "./fake-node.ts";

/** Runs `cloud models --json` on a server with this answer. @returns exit code, list and error */
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
  it("lists the models that the key may call, with their known properties", async () => {
    const rates = { input_pico_usd: 2_500_000, output_pico_usd: 10_000_000, request_pico_usd: 0 };
    const known = {
      status: "unavailable",
      context_tokens: 1000,
      capabilities: { tools: true, other: "?" },
      cheapest_request_micro_usd: 13,
    };
    const price = { version: "catalogue:1", ...rates, reasoning_pico_usd: 5, input_audio_pico_usd: "?" };
    const data = [
      { id: "echo", object: "model", created: 1, owned_by: "local", status: "available" },
      { id: "gpt-4o", object: "model", created: 1, owned_by: "openai", ...known, price },
    ];
    const unknown = { price: null, cheapest_request_micro_usd: null };
    const rest = { status: "available", context_tokens: null, capabilities: {}, ...unknown };
    expect(await models(json(200, { object: "list", data }))).toEqual({
      code: 0,
      error: "",
      list: {
        data: [
          { id: "echo", provider: "local", ...rest },
          {
            id: "gpt-4o",
            provider: "openai",
            ...known,
            capabilities: { tools: true },
            price: { ...rates, reasoning_pico_usd: 5 },
          },
        ],
        next_page_token: null,
      },
    });
  });

  it("shows rates in USD per million tokens, and none of an invalid price", async () => {
    const price = { input_pico_usd: 150_000, output_pico_usd: 600_000, request_pico_usd: 0 };
    const data = [
      { id: "priced", owned_by: "a", price },
      { id: "broken", owned_by: "a", price: { ...price, output_pico_usd: -1 } },
    ];
    await using node = await startFakeHttpServer(json(200, { object: "list", data }));
    const settings = { ROUTEPLANE_HOME: "/nonexistent", ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_env" };
    const { stdout } = await runCli(["cloud", "models", "-o", "table"], settings);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/ +/));
    expect(lines).toEqual([
      ["MODEL", "PROVIDER", "STATUS", "CONTEXT", "IN/MTOK", "OUT/MTOK"],
      ["priced", "a", "available", "$0.15", "$0.6"],
      ["broken", "a", "available"],
    ]);
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
