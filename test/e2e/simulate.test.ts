import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, openAiClient } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf, type List } from "./json-cli.ts";

let node: TestNode;
let cli: Cli;
let keyId: string;
beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node);
  const root = { url: node.url };
  const token = await node.apiKey();
  for (let count = 0; count < 4; count++) {
    await openAiClient(root, token).chat.completions.create(chatBody("one two", "echo", { max_tokens: 5 }));
  }
  const settled = await eventually(async () => {
    const { data } = await cli.json<List<{ key_id: string; status: string }>>("cloud", "requests");
    return data.length === 4 && data.every(({ status }) => status === "succeeded") && data;
  });
  keyId = settled[0]?.key_id ?? "";
});
afterAll(() => node.remove());

async function specFile(spec: object): Promise<string> {
  const path = join(node.home, "spec.json");
  await writeFile(path, JSON.stringify(spec));
  return path;
}

const simulate = ["cloud", "policy", "simulate"];
const draft = async (kind: string, spec: object) => [...simulate, "--kind", kind, "--spec", await specFile(spec)];

describe("cloud policy simulate", () => {
  it("reports the past requests that a draft would have refused, as JSON and for people", async () => {
    const args = await draft("rate_limit", { window_secs: 86_400, max_requests: 3 });
    const shown = await cli.json<{ spend_micro_usd: number }>(...args, "--days", "2");
    expect(shown).toEqual({
      from: expect.any(String),
      to: expect.any(String),
      truncated: false,
      request_count: 4,
      spend_micro_usd: expect.any(Number),
      refused_count: 1,
      refused_spend_micro_usd: shown.spend_micro_usd / 4,
      by_key: [
        {
          key_id: keyId,
          request_count: 4,
          refused_count: 1,
          refused_spend_micro_usd: shown.spend_micro_usd / 4,
        },
      ],
      by_rule: [{ rule: "rate_limit.max_requests", refused_count: 1 }],
      not_simulated: [],
    });
    expect(shown.spend_micro_usd).toBeGreaterThan(0);
    const { stdout, stderr } = await cli(...args, "--days", "2");
    expect(stderr).toBe("Simulating on the requests of the last 2 days…\n");
    expect(stdout).toMatch(/^refused +1 \(25\.0%\), \$0\.\d+$/m);
    expect(stdout).toMatch(/^rate_limit\.max_requests +1$/m);
  });

  it("replays requests against an unbound policy, and those of one key, without refusing any", async () => {
    const args = ["--name", "dear", "--kind", "guardrail", "--spec", await specFile({ model_deny: ["echo"] })];
    const { id } = await cli.json<{ id: string }>("cloud", "policy", "create", ...args);
    const { id: other } = await cli.json<{ id: string }>(
      "cloud",
      "keys",
      "mint",
      "--name",
      "a",
      "--scope",
      "keys:read",
    );
    const on = (key: string) => [...simulate, id, "--principal-type", "api_key", "--principal-id", key];
    expect(await cli.json(...on(keyId))).toMatchObject({ request_count: 4, refused_count: 4 });
    expect(await cli.json(...on(other))).toMatchObject({ request_count: 0, refused_count: 0, by_key: [] });
    const answer = openAiClient({ url: node.url }, await node.apiKey()).chat.completions.create(
      chatBody("one", "echo", {}),
    );
    expect((await answer).choices).toHaveLength(1);
  });

  it("refuses contradictory options before any call, and an invalid draft with its path", async () => {
    const wrong = [
      simulate,
      [...simulate, "--kind", "budget"],
      [...simulate, "pol_x", "--kind", "budget", "--spec", "-"],
      [...simulate, "pol_x", "--principal-type", "api_key"],
      [...simulate, "pol_x", "--days", "91"],
      await draft("budget", { window: "day", limit_micro_usd: 5, colour: "red" }),
    ];
    for (const args of wrong) expect(await cli.error(...args)).toMatchObject({ exitCode: 2 });
    const lookAhead = { content_patterns: [{ name: "p", pattern: "(?=x)" }] };
    const { message } = await cli.error(...(await draft("guardrail", lookAhead)));
    expect(message).toContain("spec.content_patterns[0].pattern");
    expect(await cli.error(...simulate, "pol_00000000000000000000000000")).toMatchObject({ code: "not_found" });
    const blind = ["--name", "b", "--scope", "policy:*"];
    const { token } = await cli.json<{ token: string }>("cloud", "keys", "mint", ...blind);
    const args = await draft("budget", { window: "day", limit_micro_usd: 5 });
    expect(await cliAs(node, token).error(...args)).toMatchObject({ exitCode: 4, reason: "SCOPE_MISSING" });
  });
});
