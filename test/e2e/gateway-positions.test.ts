import { newId } from "@routeplane/domain";
import { mintToken } from "@routeplane/credentials";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { routeTable } from "../../services/gateway/test/route-table.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type RawAnswer, rawRequest } from "../harness/raw-http.ts";

/** Foreign, unknown and malformed ids in every position of a request to the gateway's own routes. */

let node: TestNode;
let token: string;
let foreign: readonly string[];

beforeAll(async () => {
  node = await startNode();
  token = await node.apiKey();
  foreign = await idsOfAnotherNamespace();
});
afterAll(() => node.remove());

const UNKNOWN = [newId("key"), newId("ns"), newId("pol"), newId("bnd"), "no-such-model"];
const MALFORMED = ["key_x", "ns_", "' or 1=1; --", '{"$ne":null}', "../../etc/passwd", "\u202e\u2066", "x".repeat(90)];
const CONTROL = ["\u0000", "\u001b[31m", "a\r\nset-cookie: x=1", "\u007f", "\u009b2J"];

const table = (await routeTable()).filter(({ reaches }) => reaches !== "service");
const BODY = { model: "echo", max_tokens: 5, messages: [{ role: "user", content: "hello" }] };

interface Position {
  readonly headers?: readonly string[];
  readonly query?: string;
  readonly rest?: string;
  readonly body?: object;
}

/** Request to a route, valid except for the value of the position. */
async function send(route: (typeof table)[number], position: Position = {}): Promise<RawAnswer> {
  const { headers = [], query = "", rest = "echo", body = BODY } = position;
  const all = ["authorization", `Bearer ${token}`, "content-type", "application/json", ...headers];
  const target = route.path.replace("*", rest) + query;
  const answer = await rawRequest(node.port, target, {
    method: route.method,
    headers: all,
    ...(route.method === "POST" && { body: JSON.stringify(body) }),
  });
  return { ...answer, body: comparable(answer.body) };
}

/** Body without the values that differ in every answer. */
const comparable = (body: string): string => body.replace(/req_[0-9a-z]{26}|"created":\d+|chatcmpl-[\w-]+/g, "?");

async function idsOfAnotherNamespace(): Promise<readonly string[]> {
  await node.cli(["cloud", "namespace", "create", "foreign"]);
  const rpc = async (method: string, credential: string, request: object) => {
    const response = await fetch(`${node.url}/routeplane.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${credential}`, "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    expect([method, response.status]).toEqual([method, 200]);
    return JSON.parse(await response.text());
  };
  const root = { namespace: "foreign", name: "root", scopes: ["keys:*", "policy:*", "namespace:*", "inference:*"] };
  const { key, token: theirs } = await rpc("auth.v1.KeyService/MintRootKey", await node.operatorKey(), root);
  const spec = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5000000" } };
  const { policy } = await rpc("policy.v1.PolicyService/CreatePolicy", theirs, { name: "cap", spec });
  const { key: self } = await rpc("auth.v1.IdentityService/WhoAmI", theirs, {});
  const ids = [key.id, policy.id, self.namespaceId];
  expect(ids).toEqual([/^key_/, /^pol_/, /^ns_/].map((kind) => expect.stringMatching(kind)));
  return ids;
}

describe("the model of a request", () => {
  const named: Record<string, (id: string) => Position> = {
    "/v1/models/*": (id) => ({ rest: encodeURIComponent(id) }),
    "/v1/chat/completions": (id) => ({ body: { ...BODY, model: id } }),
  };

  it("is named on these routes and on no other", () => {
    const naming = table.filter(({ path }) => path.startsWith("/v1/") && !["/v1/models", "/v1/key"].includes(path));
    expect(naming.map(({ path }) => path).toSorted()).toEqual(Object.keys(named).toSorted());
  });

  it.each(table.filter(({ path }) => path in named))(
    "is the same unknown model on $path for a foreign, an unknown and a malformed id",
    async (route) => {
      const ids = [...foreign, ...UNKNOWN, ...MALFORMED, "echo/nothing", "%2e%2e"];
      const answers = await Promise.all(
        ids.map(async (id) => {
          const { status, body } = await send(route, named[route.path]?.(id));
          return { status, body: body.replace(JSON.stringify(id).slice(1, -1), "<id>") };
        }),
      );
      expect(answers[0]).toMatchObject({ status: 404, body: expect.stringContaining("`<id>`") });
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    },
  );

  it.each(table.filter(({ path }) => path in named))(
    "is not quoted by $path with its control characters",
    async (route) => {
      for (const id of CONTROL) {
        const { status, body } = await send(route, named[route.path]?.(id));
        expect([id, [400, 404].includes(status)]).toEqual([id, true]);
        const { error } = JSON.parse(body) as { error: { message: string } };
        expect(error.message).not.toMatch(/\p{Cc}/u);
      }
    },
  );

  it("is refused in an undecodable path like any unknown one", async () => {
    for (const rest of ["%", "%zz", "%c3%28", "%00"]) {
      const model = table.find(({ path }) => path === "/v1/models/*") ?? expect.fail("no such route");
      expect([rest, (await send(model, { rest })).status]).toEqual([rest, 404]);
    }
  });
});

describe("an id in any other position", () => {
  const HEADERS = [
    "x-namespace-id",
    "x-routeplane-namespace",
    "x-routeplane-client-address",
    "x-routeplane-relay",
    "x-request-id",
    "openai-organization",
    "openai-project",
    "x-forwarded-for",
    "x-original-url",
    "cookie",
  ];
  const FIELDS = ["namespace_id", "key_id", "policy_id", "user", "safety_identifier"];
  const texts = (): readonly string[] => [...foreign, ...UNKNOWN.slice(0, 2), ...MALFORMED, mintToken("key")];

  it.each(table)("does not change the answer of $method $path, in query, headers or body", async (route) => {
    const plain = await send(route);
    expect(plain.status).toBe(200);
    for (const text of texts()) {
      const query = `?namespace_id=${encodeURIComponent(text)}&model=${encodeURIComponent(text)}&api_key=x`;
      expect([text, await send(route, { query })]).toEqual([text, plain]);
      const printable = text.replace(/[^ -~]/g, "?");
      for (const name of HEADERS) {
        expect([name, text, await send(route, { headers: [name, printable] })]).toEqual([name, text, plain]);
      }
      if (route.method !== "POST") continue;
      for (const field of FIELDS) {
        expect([field, text, await send(route, { body: { ...BODY, [field]: text } })]).toEqual([field, text, plain]);
      }
    }
  });
});

describe("every text of an inference request", () => {
  const PLACES: readonly ((text: string) => object)[] = [
    (text) => ({ model: text }),
    (text) => ({ messages: [{ role: text, content: "x" }] }),
    (text) => ({ messages: [{ role: "user", content: text, name: text }] }),
    (text) => ({ messages: [{ role: "user", content: [{ type: text, text }] }] }),
    (text) => ({ stop: text, user: text, metadata: { [text]: text } }),
    (text) => ({ tools: [{ type: "function", function: { name: text, description: text } }], tool_choice: text }),
    (text) => ({ max_tokens: text }),
    (text) => ({ n: text }),
    (text) => ({ stream: text }),
    (text) => ({ stream_options: text }),
    (text) => ({ [text]: text }),
  ];

  it.each(table.filter(({ reaches }) => reaches === "upstream"))(
    "of $path may hold SQL, control characters and half a surrogate pair",
    async (route) => {
      for (const text of [...MALFORMED, ...CONTROL, "\ud800", "x".repeat(100_000), ""]) {
        for (const place of PLACES) {
          const { status, body } = await send(route, { body: { ...BODY, ...place(text) } });
          const label = JSON.stringify(place(text)).slice(0, 90);
          expect([label, [200, 400, 404].includes(status)], body.slice(0, 200)).toEqual([label, true]);
          if (status === 200) continue;
          const { error } = JSON.parse(body) as { error: { message: string; param: string | null } };
          expect(`${error.message}${error.param}`, label).not.toMatch(/\p{Cc}|\bat .+:\d+:\d+|node_modules/u);
          expect(error.message.length, label).toBeLessThan(1_000);
        }
      }
      const errors = (await node.log("gateway")).split("\n").filter((line) => /"level":"(error|fatal)"/.test(line));
      expect(errors).toEqual([]);
    },
  );
});
