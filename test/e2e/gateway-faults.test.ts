import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { APIError, type OpenAI } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cliJson, mintKey, openAiClient, requestLog, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { openStream as openStreamAt, type SlowUpstream, startSlowUpstream, timed } from "../harness/streams.ts";

/** Tests of the gateway while a dependency is suspended: such a process accepts connections and answers nothing. */

let node: TestNode;
let client: OpenAI;
let folder: string;
let upstream: SlowUpstream;

beforeAll(async () => {
  upstream = await startSlowUpstream();
  folder = await mkdtemp(join(tmpdir(), "routeplane-gateway-test-"));
  const providers = join(folder, "providers.yaml");
  const price = "price: {input_usd_per_mtok: 3, output_usd_per_mtok: 5}";
  const provider = `{name: slow, protocol: openai, base_url: "${upstream.baseUrl}", models: [{id: slow, ${price}}]}`;
  await writeFile(providers, `providers: [${provider}]`);
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
  client = openAiClient(node, await node.apiKey());
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

const openStream = (token: string) => openStreamAt(node.url, token);
const whileSuspended = (role: string, work: () => Promise<void>) => node.whileSuspended(role, work);
const ask = () => client.chat.completions.create({ model: "echo", messages: [{ role: "user", content: "one two" }] });

describe("a suspended dependency", () => {
  it.each(["auth", "policy"])(
    "%s: requests are refused within 3 s (auth: 5 s) with its name, health reports it, and it recovers by itself",
    async (role) => {
      await ask();
      let refused: APIError | undefined;
      await whileSuspended(role, async () => {
        const since = performance.now();
        // A warm key needs no auth until the change feed times out.
        const { error } = await eventually(async () => {
          const answer = await timed(ask());
          return answer.error !== undefined && answer;
        });
        const ms = performance.now() - since;
        expect(error).toBeInstanceOf(APIError);
        refused = error as APIError;
        expect(refused).toMatchObject({ status: 503, code: "dependency_unavailable" });
        expect(refused.error).toMatchObject({ dependency: role });
        expect(ms).toBeLessThan(role === "auth" ? 6_500 : 4_500);
        const health = await fetch(`${node.url}/healthz`);
        expect([health.status, await health.json()]).toMatchObject([503, { dependencies: { [role]: "unreachable" } }]);
      });
      await eventually(async () => (await ask()).choices.length === 1);
      await eventually(async () => (await fetch(`${node.url}/healthz`)).ok);
      const id = refused?.requestID;
      expect((await requestLog(node)).some((each) => each.id === id)).toBe(false);
    },
    60_000,
  );

  it("nats: inference continues without delay, and every request is in the log once it resumes", async () => {
    const started: (string | null | undefined)[] = [];
    const waited: number[] = [];
    const goOn = async (): Promise<void> => {
      for (let count = 0; count < 5; count++) {
        const since = performance.now();
        const { request_id: id } = await ask().withResponse();
        waited.push(performance.now() - since);
        started.push(id);
      }
      const health = await fetch(`${node.url}/healthz`);
      expect([health.status, await health.json()]).toMatchObject([200, { dependencies: { nats: "unreachable" } }]);
    };
    await whileSuspended("nats", goOn);
    // The fastest of several: other load on the machine must not fail the test.
    expect(Math.min(...waited)).toBeLessThan(1_000);
    await node.kill("nats");
    for (const id of started)
      expect(await settledRow(node, id)).toMatchObject({ status: "succeeded", completion_tokens: 2 });
  });

  it("usage: inference continues, and usage queries are unavailable within 6 s", async () => {
    const headers = { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" };
    await whileSuspended("usage", async () => {
      expect((await ask()).choices).toHaveLength(1);
      const started = performance.now();
      const address = `${node.url}/routeplane.usage.v1.UsageService/GetUsage`;
      const response = await fetch(address, { method: "POST", headers, body: "{}" });
      expect([response.status, await response.json()]).toMatchObject([503, { code: "unavailable" }]);
      expect(performance.now() - started).toBeLessThan(6_500);
    });
  });

  it("policy, at settlement: the answer is complete, and its reservation is settled once policy resumes", async () => {
    const { id: keyId, token } = await mintKey(node, "held");
    const limit = ["--window", "total", "--limit-micro-usd", "700"];
    const policy = await cliJson<{ id: string }>(node, "cloud", "budget", "create", "--name", "narrow", ...limit);
    await cliJson(node, "cloud", "policy", "bind", policy.id, "--principal-type", "api_key", "--principal-id", keyId);
    const stream = await openStream(token);
    // While its reservation is open, a second request does not fit.
    expect((await timed(openStream(token))).error).toMatchObject({ status: 402 });
    await whileSuspended("policy", async () => {
      upstream.finish();
      expect(await stream.rest()).toBe("one two");
      expect(await settledRow(node, stream.requestId)).toMatchObject({
        status: "succeeded",
        cost_micro_usd: 5 * 3 + 2 * 5,
      });
    });
    const second = await eventually(() => openStream(token));
    upstream.finish();
    expect(await second.rest()).toBe("one two");
  });
});

describe("a stopping gateway", () => {
  it("lets a running stream finish", async () => {
    const stream = await openStream(await node.apiKey());
    process.kill((await node.pid("gateway")) ?? 0, "SIGTERM");
    await eventually(async () => (await timed(fetch(`${node.url}/healthz`))).error !== undefined);
    upstream.finish();
    expect(await stream.rest()).toBe("one two");
    await node.healthy();
    expect(await settledRow(node, stream.requestId)).toMatchObject({
      status: "succeeded",
      cost_micro_usd: 5 * 3 + 2 * 5,
    });
  });

  it("ends a stream that does not finish with an error, and charges its reservation", async () => {
    const stream = await openStream(await node.apiKey());
    process.kill((await node.pid("gateway")) ?? 0, "SIGTERM");
    const { error, ms } = await timed(stream.rest());
    expect(error).toMatchObject({ code: "stopping" });
    expect(ms).toBeLessThan(5_000);
    upstream.finish();
    await node.healthy();
    const row = await settledRow(node, stream.requestId);
    expect(row).toMatchObject({ status: "failed", completion_tokens: 10 });
    expect(row.cost_micro_usd).toBeGreaterThan(50);
  });
});
