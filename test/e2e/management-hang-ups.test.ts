import { request as open } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { superuserUrl } from "../harness/database.ts";
import { chatBody } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { rawRequest } from "../harness/raw-http.ts";

/** Tests that refused and abandoned management calls do not affect later ones. */

let node: TestNode;
let token: string;

const PAGE_SIZE = 1_000;
const TIMES = 100;
const AT_A_TIME = 10;
const METHODS = [
  "/routeplane.auth.v1.IdentityService/WhoAmI",
  "/routeplane.policy.v1.PolicyService/ListPolicies",
  "/routeplane.usage.v1.UsageService/GetUsage",
];
const LIST = "/routeplane.usage.v1.UsageService/ListRequests";
const WATCH = "/routeplane.usage.v1.UsageService/WatchRequests";
const JSON_TYPE = ["content-type", "application/json"];

beforeAll(async () => {
  node = await startNode();
  token = await node.apiKey();
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(chatBody("one")),
  });
  expect(response.status).toBe(200);
  await response.arrayBuffer();
  const listed = async (): Promise<number> =>
    JSON.parse((await call(LIST, JSON.stringify({ pageSize: PAGE_SIZE }))).body).requests?.length;
  await eventually(async () => (await listed()) === 1);
  await copyRequest(PAGE_SIZE - 1);
  expect(await listed()).toBe(PAGE_SIZE);
}, 180_000);
afterAll(() => node?.remove());

/** Copies the one row of the request log, a millisecond apart: a page of real requests takes 10 s of CPU time. */
async function copyRequest(times: number): Promise<void> {
  const client = new pg.Client({ connectionString: await superuserUrl(node.home) });
  await client.connect();
  try {
    await client.query(
      `insert into usage.requests
       select (jsonb_populate_record(r, jsonb_build_object('id', copy, 'created_at', r.created_at + nth * interval '1 ms'))).*
       from usage.requests r, unnest($1::text[]) with ordinality as copies(copy, nth)`,
      [Array.from({ length: times }, () => newId("req"))],
    );
  } finally {
    await client.end();
  }
}

async function times(count: number, work: () => Promise<void>): Promise<void> {
  let remaining = count;
  const worker = async (): Promise<void> => {
    while (remaining-- > 0) await work();
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}

function call(path: string, body = "{}") {
  return rawRequest(node.port, path, { headers: ["authorization", `Bearer ${token}`, ...JSON_TYPE], body });
}

/** Expects calls to be served, after a moment in which a service may still run abandoned ones. */
async function expectServed(): Promise<void> {
  for (const path of METHODS) await eventually(async () => (await call(path)).status === 200);
  await eventually(async () => {
    const health = (await (await fetch(`${node.url}/healthz`)).json()) as { dependencies: Record<string, string> };
    return Object.values(health.dependencies).every((state) => state === "ok");
  }, 20_000);
}

/** Sends a call, and closes the connection once `until` holds. */
function hangUp(path: string, bytes: Buffer, announced: number, until: "sent" | "answered", type = JSON_TYPE[1]) {
  return new Promise<void>((resolve) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": type, "content-length": announced };
    const request = open({ host: "127.0.0.1", port: node.port, path, method: "POST", headers, agent: false });
    request.on("close", resolve);
    request.on("error", () => {});
    request.on("response", (response) => {
      response.on("error", () => {});
      response.once("data", () => request.destroy());
    });
    request.write(bytes, () => {
      if (until === "sent") void delay(1).then(() => request.destroy());
    });
  });
}

/** Message in a frame of Connect's streaming protocol. */
function enveloped(message: object): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}

describe("after 100", () => {
  it.each([
    ["no credential", []],
    ["a bad credential", ["authorization", "Bearer rp_live_nonsense"]],
  ])(
    "refused bodies of 1 MB with %s, calls are served",
    async (_, credential) => {
      for (const path of METHODS) {
        await times(TIMES, async () => {
          const body = `{"name":"${"x".repeat(1_000_000)}"}`;
          const { status } = await rawRequest(node.port, path, { headers: [...credential, ...JSON_TYPE], body });
          expect(status).toBe(401);
        });
      }
      await expectServed();
    },
    120_000,
  );

  it("hang-ups in the middle of a page of 1,000 requests, calls are served", async () => {
    const body = Buffer.from(JSON.stringify({ pageSize: PAGE_SIZE }));
    await times(TIMES, () => hangUp(LIST, body, body.length, "answered"));
    await expectServed();
  }, 120_000);

  it("hang-ups before the answer, calls are served", async () => {
    const body = Buffer.from(JSON.stringify({ pageSize: PAGE_SIZE }));
    await times(TIMES, () => hangUp(LIST, body, body.length, "sent"));
    await expectServed();
  }, 120_000);

  it("hang-ups in the middle of a stream, calls are served", async () => {
    const body = enveloped({});
    await times(TIMES, () => hangUp(WATCH, body, body.length, "answered", "application/connect+json"));
    await expectServed();
  }, 120_000);

  it("hang-ups in the middle of a body, calls are served", async () => {
    const half = Buffer.alloc(500_000, " ");
    for (const path of METHODS) await times(TIMES, () => hangUp(path, half, 1_000_000, "sent"));
    await expectServed();
  }, 120_000);
});

describe("a credential", () => {
  it("opens five watches at once, and a sixth as soon as one of them ends", async () => {
    const watch = () =>
      new Promise<{ text: string; leave: () => void }>((resolve, reject) => {
        const headers = { authorization: `Bearer ${token}`, "content-type": "application/connect+json" };
        const request = open({
          host: "127.0.0.1",
          port: node.port,
          path: WATCH,
          method: "POST",
          headers,
          agent: false,
        });
        request.on("error", reject);
        request.on("response", (response) => {
          response.on("error", () => {});
          response.once("data", (data: Buffer) => resolve({ text: data.toString(), leave: () => request.destroy() }));
        });
        request.end(enveloped({}));
      });
    const isRefused = ({ text }: { text: string }): boolean => text.includes("resource_exhausted");
    const sixth = await eventually(async () => {
      const streams = await Promise.all(Array.from({ length: 6 }, watch));
      const refused = streams.filter(isRefused);
      for (const { leave } of streams) leave();
      return refused.length === 1 && refused[0];
    }, 60_000);
    expect(sixth.text).toContain("this credential watches requests 5 times already");
    await eventually(async () => {
      const stream = await watch();
      stream.leave();
      return !isRefused(stream);
    });
  }, 90_000);
});
