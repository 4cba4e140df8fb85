import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@routeplane/domain";
import { mintToken } from "@routeplane/credentials";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeProvider, sendJson, startFakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { routeTable } from "../../services/gateway/test/route-table.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type RawAnswer, rawRequest } from "../harness/raw-http.ts";

/** Foreign, unknown and malformed ids in every position of a request to the gateway's own routes. */

let node: TestNode;
let token: string;
let foreign: readonly string[];
let provider: FakeProvider;
let folder: string;

beforeAll(async () => {
  provider = await startFakeProvider((response, { path }) => sendJson(response, 200, ANSWERS[path] ?? {}));
  folder = await mkdtemp(join(tmpdir(), "routeplane-positions-test-"));
  const file = join(folder, "providers.yaml");
  const provided = (name: string, protocol: string, models: string) =>
    `{name: ${name}, protocol: ${protocol}, base_url: "${provider.baseUrl}", models: [${models}]}`;
  const price = "price: {input_usd_per_mtok: 3, output_usd_per_mtok: 5}";
  const openAi = `{id: respond, wires: [responses], ${price}}, {id: embed, wires: [embeddings], ${price}}`;
  const providers = [provided("a", "openai", openAi), provided("b", "anthropic", `{id: message, ${price}}`)];
  await writeFile(file, `providers: [${providers.join(", ")}]`);
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: file } });
  token = await node.apiKey();
  foreign = await idsOfAnotherNamespace();
});
afterAll(async () => {
  await node?.remove();
  await provider?.close();
  await rm(folder, { recursive: true, force: true });
});

const UNKNOWN = [newId("key"), newId("ns"), newId("pol"), newId("bnd"), "no-such-model"];
const MALFORMED = ["key_x", "ns_", "' or 1=1; --", '{"$ne":null}', "../../etc/passwd", "\u202e\u2066", "x".repeat(90)];
const CONTROL = ["\u0000", "\u001b[31m", "a\r\nset-cookie: x=1", "\u007f", "\u009b2J"];

const table = (await routeTable()).filter(({ reaches }) => reaches !== "service");

/** Body of a request to each route that reaches an upstream. Its model's upstream speaks the wire of the route. */
const BODIES: Readonly<Record<string, object>> = {
  "/v1/chat/completions": { model: "echo", max_tokens: 5, messages: [{ role: "user", content: "hello" }] },
  "/v1/responses": { model: "respond", max_output_tokens: 16, store: false, input: "hello" },
  "/v1/messages": { model: "message", max_tokens: 5, messages: [{ role: "user", content: "hello" }] },
  "/v1/messages/count_tokens": { model: "message", messages: [{ role: "user", content: "hello" }] },
  "/v1/embeddings": { model: "embed", input: "hello" },
};

const ANSWERED = { status: "completed", output: [], usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 } };

/** Answers of the upstreams, by path. */
const ANSWERS: Readonly<Record<string, object>> = {
  "/v1/responses": { id: "resp_1", object: "response", created_at: 1, model: "respond", ...ANSWERED },
  "/v1/messages/count_tokens": { input_tokens: 8 },
  "/v1/messages": {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "message",
    content: [{ type: "text", text: "hello" }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 1, output_tokens: 1 },
  },
  "/v1/embeddings": {
    object: "list",
    model: "embed",
    data: [{ object: "embedding", index: 0, embedding: [1] }],
    usage: { prompt_tokens: 1, total_tokens: 1 },
  },
};

interface Position {
  readonly headers?: readonly string[];
  readonly query?: string;
  readonly rest?: string;
  readonly body?: object;
}

/** Request to a route, valid except for the value of the position. */
async function send(route: (typeof table)[number], position: Position = {}): Promise<RawAnswer> {
  const { headers = [], query = "", rest = "echo", body = BODIES[route.path] } = position;
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
    ...Object.fromEntries(
      Object.entries(BODIES).map(([path, body]) => [path, (id: string) => ({ body: { ...body, model: id } })]),
    ),
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
        const body = { ...BODIES[route.path], [field]: text };
        expect([field, text, await send(route, { body })]).toEqual([field, text, plain]);
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
          const { status, body } = await send(route, { body: { ...BODIES[route.path], ...place(text) } });
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
