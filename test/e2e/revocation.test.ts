import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, mintKey, openAiClient, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { openStream, type SlowUpstream, startSlowUpstream, timed } from "../harness/streams.ts";

/** Tests of promise 3 with three gateways: a revoked key is refused by all, and its running requests are cancelled. */

let node: TestNode;
let upstream: SlowUpstream;
let folder: string;

beforeAll(async () => {
  upstream = await startSlowUpstream();
  folder = await mkdtemp(join(tmpdir(), "routeplane-revocation-test-"));
  const providers = join(folder, "providers.yaml");
  const price = "price: {input_usd_per_mtok: 3, output_usd_per_mtok: 5}";
  const provider = `{name: slow, protocol: openai, base_url: "${upstream.baseUrl}", models: [{id: slow, ${price}}]}`;
  await writeFile(providers, `providers: [${provider}]`);
  node = await startNode({ gateways: 3, environment: { ROUTEPLANE_PROVIDERS: providers } });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Calls the management API with a key. */
async function manage<T>(token: string, method: string, body: object): Promise<T> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const address = `${node.url}/routeplane.auth.v1.KeyService/${method}`;
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

const revoke = async (id: string): Promise<unknown> => manage(await node.apiKey(), "RevokeKey", { id });

/** Mints a key and a sub-key of it. */
async function parentAndChild(more: object = {}) {
  const parent = await mintKey(node, "parent", "keys:*,inference:*");
  const request = { name: "child", scopes: ["inference:invoke"], ...more };
  const { token } = await manage<{ token: string }>(parent.token, "MintKey", request);
  return { parent, token };
}

const call = (url: string, token: string, model = "echo") =>
  openAiClient({ url }, token).chat.completions.create(chatBody("one two", model, { max_tokens: 10 }));

describe("a revoked key", () => {
  it("is refused by every gateway while its cache entry is warm, and so is the key below it", async () => {
    const { parent, token } = await parentAndChild();
    for (const url of node.urls) {
      for (const key of [parent.token, token]) expect((await call(url, key)).choices).toHaveLength(1);
    }
    await revoke(parent.id);
    for (const url of node.urls) {
      for (const key of [parent.token, token]) {
        const { error } = await eventually(async () => {
          const answer = await timed(call(url, key));
          return answer.error !== undefined && answer;
        }, 5_000);
        expect(error).toMatchObject({ status: 401, code: "invalid_api_key" });
      }
    }
  });

  it("has its running stream cancelled at any gateway, and charged the reservation", async () => {
    const { parent, token } = await parentAndChild();
    for (const url of node.urls) await call(url, token);
    const streams = await Promise.all(node.urls.map((url) => openStream(url, token)));
    await revoke(parent.id);
    const ends = await Promise.all(streams.map(({ rest }) => timed(rest())));
    for (const { error, ms } of ends) {
      expect(error).toMatchObject({ code: "api_key_revoked", type: "invalid_request_error" });
      expect(ms).toBeLessThan(5_000);
    }
    const running = upstream.requests.slice(-streams.length);
    await eventually(() => running.every(({ aborted }) => aborted));
    for (const { requestId } of streams) {
      const row = await settledRow(node, requestId);
      expect(row).toMatchObject({ status: "failed", completion_tokens: 10 });
      expect(row.cost_micro_usd).toBeGreaterThan(50);
    }
  });

  it("gets 401 for an answer that has not begun", async () => {
    const { parent, token } = await parentAndChild();
    const [url = ""] = node.urls.slice(1);
    const before = upstream.requests.length;
    const waiting = timed(call(url, token, "slow"));
    await eventually(() => upstream.requests.length > before);
    await revoke(parent.id);
    const { error } = await waiting;
    expect(error).toMatchObject({ status: 401, code: "api_key_revoked" });
    const { requestID } = error as { requestID: string };
    const row = await settledRow(node, requestID);
    expect(row).toMatchObject({ status: "failed", completion_tokens: 10 });
    expect(row.cost_micro_usd).toBeGreaterThan(50);
  });
});

describe("a running stream", () => {
  it("of another key continues", async () => {
    const [running, revoked] = [await parentAndChild(), await parentAndChild()];
    const stream = await openStream(node.url, running.token);
    const doomed = await openStream(node.url, revoked.token);
    await revoke(revoked.parent.id);
    expect((await timed(doomed.rest())).error).toMatchObject({ code: "api_key_revoked" });
    upstream.finish();
    expect(await stream.rest()).toBe("one two");
  });

  it("is cancelled when its key expires", async () => {
    const { token } = await parentAndChild({ expiresAt: new Date(Date.now() + 3_000).toISOString() });
    const { rest } = await openStream(node.url, token);
    const { error, ms } = await timed(rest());
    expect(error).toMatchObject({ code: "api_key_expired" });
    expect(ms).toBeLessThan(8_000);
  });

  it("is cancelled when its key loses the scope", async () => {
    const { id, token } = await mintKey(node, "narrowed", "keys:read,inference:invoke");
    const { rest } = await openStream(node.url, token);
    await manage(await node.apiKey(), "UpdateKey", { id, scopes: ["keys:read"] });
    expect((await timed(rest())).error).toMatchObject({ code: "insufficient_scope" });
  });
});

describe("a suspended auth service", () => {
  it("ends all requests within 5 s, new and running, and serves again once it resumes", async () => {
    const { token } = await mintKey(node, "patient");
    for (const url of node.urls) await call(url, token);
    const streams = await Promise.all(node.urls.map((url) => openStream(url, token)));
    await node.whileSuspended("auth", async () => {
      const since = performance.now();
      const ends = Promise.all(streams.map(({ rest }) => timed(rest())));
      const refusals = node.urls.map((url) =>
        eventually(async () => {
          const answer = await timed(call(url, token));
          return answer.error !== undefined && answer;
        }),
      );
      for (const { error } of await Promise.all(refusals)) {
        expect(error).toMatchObject({ status: 503, code: "dependency_unavailable" });
      }
      expect(performance.now() - since).toBeLessThan(6_500);
      for (const { error } of await ends) expect(error).toMatchObject({ code: "dependency_unavailable" });
      expect(performance.now() - since).toBeLessThan(6_500);
    });
    for (const url of node.urls) await eventually(async () => (await call(url, token)).choices.length === 1);
  });

  it("does not affect a warm key if it is killed and restarted", async () => {
    const { token } = await mintKey(node, "warm");
    for (const url of node.urls) await call(url, token);
    const stream = await openStream(node.url, token);
    const before = await node.pid("auth");
    const restarted = node.kill("auth");
    do {
      for (const url of node.urls) expect((await call(url, token)).choices).toHaveLength(1);
    } while ((await node.pid("auth")) === before);
    await restarted;
    await node.healthy();
    upstream.finish();
    expect(await stream.rest()).toBe("one two");
  });
});
