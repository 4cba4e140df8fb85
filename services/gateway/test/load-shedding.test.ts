import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { Pool } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import type { CallingKey, VerifyKey } from "../src/domain/ports/key-verifier.ts";
import { LoadGate } from "../src/domain/load/load-gate.ts";
import { sendJson } from "./fake-provider.ts";
import { type GuardedGateway, type GuardedGatewayOptions, startGuardedGateway } from "./guarded-gateway.ts";

let gateway: GuardedGateway;
afterEach(() => gateway.stop());

/** Tokens that have been verified, and texts that the upstream has received, in their order. */
const seen: string[] = [];

/** Verifies tokens as keys of one namespace each. */
function verifierOfNamespaces(): VerifyKey {
  const keys = new Map<string, CallingKey>();
  return async (token) => {
    seen.push(`verified ${token}`);
    const keyId = newId("key");
    const known = keys.get(token);
    const key: CallingKey = known ?? {
      kind: "key",
      keyId,
      namespaceId: newId("ns"),
      scopes: ["inference:*"],
      lineage: [keyId],
    };
    keys.set(token, key);
    return key;
  };
}

/** Starts a gateway whose upstream answers each request when the test decides, or at once. */
async function startGateway(
  loadGate: LoadGate,
  answer: GuardedGatewayOptions["answer"],
  verifyKey = verifierOfNamespaces(),
): Promise<void> {
  seen.length = 0;
  gateway = await startGuardedGateway({
    specs: [],
    verifyKey,
    loadGate,
    answer: (response, received) => {
      seen.push(`sent ${(JSON.parse(received.body) as { messages: { content: string }[] }).messages[0]?.content}`);
      return answer(response, received);
    },
  });
}

const WHOLE = {
  id: "c",
  object: "chat.completion",
  created: 1,
  model: "gpt-4o",
  choices: [{ index: 0, message: { role: "assistant", content: "yes" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
};

const bodyOf = (content: string, stream = false): string =>
  JSON.stringify({ model: "gpt-4o", max_tokens: 1_000_000, stream, messages: [{ role: "user", content }] });
const headersOf = (token: string) => ({ "content-type": "application/json", authorization: `Bearer ${token}` });

/** Sends a request whose text is the namespace. */
async function ask(token: string): Promise<{ status: number; retryAfter: string | null; text: string }> {
  const request = { method: "POST", headers: headersOf(token), body: bodyOf(token) };
  const response = await fetch(`${gateway.url}/v1/chat/completions`, request);
  return { status: response.status, retryAfter: response.headers.get("retry-after"), text: await response.text() };
}

/** Opens a connection, and sends a request on it. */
async function askOnConnection(token: string, stream: boolean): Promise<Socket> {
  const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  const body = bodyOf(token, stream);
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n`;
  socket.write(`${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

describe("a namespace that floods the gateway", () => {
  it("is served, and delays those of another one by a few requests, not by all of its own", async () => {
    const connections = 150;
    const gate = new LoadGate();
    await startGateway(gate, (response) => sendJson(response, 200, WHOLE));
    const pool = new Pool(gateway.url, { connections });
    const load = { isOver: false };
    const statuses: number[] = [];
    const flood = async (): Promise<void> => {
      while (!load.isOver) {
        const options = {
          method: "POST",
          path: "/v1/chat/completions",
          headers: headersOf("flood"),
          body: bodyOf("flood"),
        } as const;
        const { statusCode, body } = await pool.request(options);
        await body.dump();
        statuses.push(statusCode);
      }
    };
    const flooding = Array.from({ length: connections }, flood);
    await eventually(() => gate.waiting > connections / 2);

    const between: number[] = [];
    for (let request = 0; request < 10; request++) {
      seen.length = 0;
      expect((await ask("steady")).status).toBe(200);
      const sentBefore = seen.slice(seen.indexOf("verified steady"), seen.indexOf("sent steady"));
      between.push(sentBefore.filter((line) => line === "sent flood").length);
    }
    expect(gate.waiting).toBeGreaterThan(connections / 2);
    load.isOver = true;
    await Promise.all(flooding);
    await pool.close();
    // The requests of two turns, and those already on their way.
    expect(Math.max(...between)).toBeLessThan(connections / 5);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect(gate.running).toBe(0);
  });

  it("is refused at once with 503 beyond its share of the running requests, and sends nothing upstream", async () => {
    const held: (() => void)[] = [];
    const gate = new LoadGate({ maxRunning: 20 });
    await startGateway(gate, (response) => void held.push(() => sendJson(response, 200, WHOLE)));
    const running = Array.from({ length: 10 }, () => ask("flood"));
    await eventually(() => held.length === 10);
    const refused = await ask("flood");
    expect([refused.status, refused.retryAfter]).toEqual([503, "1"]);
    expect(JSON.parse(refused.text)).toMatchObject({
      error: { type: "server_error", code: "overloaded", param: null },
    });

    const steady = ask("steady");
    await eventually(() => held.length === 11);
    const models = await fetch(`${gateway.url}/v1/models`, { headers: headersOf("flood") });
    expect(models.status).toBe(200);
    await models.text();
    expect(gateway.usage.admissions).toHaveLength(11);

    for (const release of held.splice(0)) release();
    const statuses = (await Promise.all([...running, steady])).map(({ status }) => status);
    expect(statuses).toEqual(Array.from({ length: 11 }, () => 200));
    await eventually(() => gate.running === 0);
    const again = ask("flood");
    await eventually(() => held.length === 1);
    held[0]?.();
    expect((await again).status).toBe(200);
  });
});

describe("a body in chunks", () => {
  it("counts as work of its size once it is read, so that others wait for the next turn", async () => {
    let endTurn = (): void => {};
    const gate = new LoadGate({ atTurnEnd: (callback) => (endTurn = callback) });
    await startGateway(gate, (response) => sendJson(response, 200, WHOLE));
    const body = new Blob([bodyOf("x".repeat(2 << 20))]).stream();
    const request = { method: "POST", headers: headersOf("large"), body, duplex: "half" } as const;
    const response = await fetch(`${gateway.url}/v1/chat/completions`, request);
    expect(response.status).toBe(200);
    await response.text();
    const other = ask("small");
    await eventually(() => gate.waiting === 1);
    endTurn();
    expect((await other).status).toBe(200);
  });
});

describe("a client that leaves", () => {
  it("sends nothing upstream if its request still waits to start, and frees its place", async () => {
    let endTurn = (): void => {};
    const gate = new LoadGate({ atTurnEnd: (callback) => (endTurn = callback) });
    await startGateway(gate, (response) => sendJson(response, 200, WHOLE));
    const answered = await Promise.all(Array.from({ length: 8 }, () => ask("first")));
    expect(answered.filter(({ status }) => status === 200)).toHaveLength(8);
    const socket = await askOnConnection("second", false);
    await eventually(() => gate.waiting === 1);
    socket.resetAndDestroy();
    const other = ask("third");
    await eventually(() => gate.waiting === 2);
    endTurn();
    expect((await other).status).toBe(200);
    await eventually(() => gate.running === 0);
    expect(seen).not.toContain("sent second");
  });

  it("frees its place at once if it left while its key was verified", async () => {
    let resume = (): void => {};
    const verified = new Promise<void>((resolve) => (resume = resolve));
    const verify = verifierOfNamespaces();
    const gate = new LoadGate();
    const verifyLate: VerifyKey = async (token) => {
      const result = await verify(token);
      await verified;
      return result;
    };
    await startGateway(gate, (response) => sendJson(response, 200, WHOLE), verifyLate);
    const socket = await askOnConnection("gone", false);
    await eventually(() => seen.length === 1);
    socket.resetAndDestroy();
    // Its connection is closed on the other side too once another one that came later is served.
    const other = ask("other");
    await eventually(() => seen.length === 2);
    resume();
    expect((await other).status).toBe(200);
    await eventually(() => gate.running === 0, 2_000);
    expect(seen).not.toContain("sent gone");
  });

  it.each([
    ["before the head of its answer", false, ""],
    ["before the head of a stream", true, ""],
    [
      "within a stream",
      true,
      'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n',
    ],
  ])("ends the call to the upstream: %s", async (_, stream, begin) => {
    const gate = new LoadGate();
    await startGateway(gate, (response) => {
      if (begin !== "") response.writeHead(200, { "content-type": "text/event-stream" }).write(begin);
    });
    const socket = await askOnConnection("gone", stream);
    await eventually(() => gateway.received.length === 1);
    if (begin !== "") await once(socket, "data");
    expect(gateway.received[0]?.aborted).toBe(false);
    socket.resetAndDestroy();
    await eventually(() => gateway.received[0]?.aborted);
    await eventually(() => gate.running === 0);
  });
});

describe("a client that does not read its stream", () => {
  it("slows the upstream down, so that no more is in transit than fits into the buffers of the two connections", async () => {
    const [piece, size] = [`data: ${JSON.stringify({ id: "c", choices: [], pad: "x".repeat(60_000) })}\n\n`, 1 << 30];
    let sentBytes = 0;
    await startGateway(new LoadGate(), (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.on("error", () => {});
      const write = (): void => {
        while (sentBytes < size && !response.destroyed) {
          sentBytes += piece.length;
          if (!response.write(piece)) return;
        }
        response.end();
      };
      response.on("drain", write);
      write();
    });
    const socket = await askOnConnection("slow", true);
    let readBytes = 0;
    socket.on("data", (bytes: Buffer) => (readBytes += bytes.length));
    await eventually(() => readBytes > 4 << 20);
    socket.pause();
    const before = process.memoryUsage().rss;
    // The stream is blocked once nothing was sent for a while.
    let last = -1;
    await eventually(async () => {
      const isStill = sentBytes === last;
      last = sentBytes;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return isStill;
    });
    expect(sentBytes - readBytes).toBeLessThan(32 << 20);
    expect(process.memoryUsage().rss - before).toBeLessThan(32 << 20);
    socket.resume();
    const readBefore = readBytes;
    await eventually(() => readBytes > readBefore + (16 << 20));
    socket.resetAndDestroy();
    await eventually(() => gateway.received[0]?.aborted);
  });
});
