import type { DescField, DescMessage, DescMethod } from "@bufbuild/protobuf";
import { accessOf, isInternal, publishedServices } from "@routeplane/rpc";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { routeTable } from "../../services/gateway/test/route-table.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type RawAnswer, rawRequest, type RawRequest } from "../harness/raw-http.ts";

/** Tests of hostile input over the whole public surface: it is refused with a short message, and nothing fails. */

let node: TestNode;
let token: string;
let operator: string;
/** Ids of resources that the tests may destroy, for otherwise valid requests, keyed by field. */
let validIds: Record<string, unknown>;

beforeAll(async () => {
  node = await startNode();
  [token, operator] = [await node.apiKey(), await node.operatorKey()];
  const key = await rpc("auth.v1.KeyService/MintKey", token, { name: "victim", scopes: ["keys:read"] });
  const spec = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5" } };
  const policy = await rpc("policy.v1.PolicyService/CreatePolicy", token, { name: "victim", spec });
  await rpc("auth.v1.NamespaceService/CreateNamespace", operator, { name: "victim" });
  validIds = {
    name: "other",
    scopes: ["keys:read"],
    spec,
    namespace: "victim",
    principalType: "PRINCIPAL_TYPE_API_KEY",
  };
  validIds = {
    ...validIds,
    principalId: key.key.id,
    policyId: policy.policy.id,
    keyId: key.key.id,
    policy: policy.policy.id,
  };
});
afterAll(() => node.remove());

const send = (target: string, request?: RawRequest): Promise<RawAnswer> => rawRequest(node.port, target, request);
const JSON_TYPE = ["content-type", "application/json"];
const as = (credential: string): string[] => ["authorization", `Bearer ${credential}`];
const post = (target: string, credential: string, body: unknown): Promise<RawAnswer> =>
  send(target, { headers: [...as(credential), ...JSON_TYPE], body: JSON.stringify(body) });

async function rpc(method: string, credential: string, request: object) {
  const { status, body } = await post(`/routeplane.${method}`, credential, request);
  if (status !== 200) throw new Error(`${method}: ${body}`);
  return JSON.parse(body);
}

const methods: readonly DescMethod[] = Object.values(publishedServices())
  .flat()
  .flatMap((service) => service.methods);
const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;
const published = methods.filter((method) => !isInternal(method));
/** Methods except streams, which refuse within the stream: isolation.test.ts has those. */
const outside = published.filter(({ methodKind }) => methodKind === "unary");
const internal = methods.filter(isInternal);
/** Routes of the gateway itself that need a key. */
const INFERENCE = (await routeTable())
  .filter(({ path }) => path.startsWith("/v1/"))
  .map(({ path, method }) => ({ path: path.replace("*", "echo"), method }));

/** Makers of a message with a given text, one for each string at any depth; a repeated string becomes a list of one. */
function stringFillers(message: DescMessage, depth = 0): readonly ((text: string) => Record<string, unknown>)[] {
  return message.fields.flatMap((field) => {
    const isOurs = field.fieldKind === "message" && field.message.typeName.startsWith("routeplane.");
    const inner = isOurs && depth < 6 ? stringFillers(field.message, depth + 1) : [(text: string) => text];
    return inner.map((fill) => (text: string) => ({ [field.jsonName]: listed(field, fill(text)) }));
  });
}

const listed = (field: DescField, value: unknown): unknown => (field.fieldKind === "list" ? [value] : value);

const HOSTILE = [
  "' or 1=1; drop table auth.keys; --",
  "\u0000",
  "\u001b]0;title\u0007\u001b[31m",
  "a\r\nset-cookie: x=1",
  "\ud800",
  "\u202e\u2066",
  "../../../etc/passwd%00",
  `{"$ne":null}`,
  "x".repeat(100_000),
  "",
];

/** Request that is valid except for the hostile value. */
function validRequest(method: DescMethod): Record<string, unknown> {
  const id = method.parent.name === "PolicyService" ? validIds["policyId"] : validIds["keyId"];
  const known = method.input.fields.flatMap(({ jsonName }): [string, unknown][] => {
    const value = jsonName === "id" ? id : validIds[jsonName];
    return value === undefined ? [] : [[jsonName, value]];
  });
  return Object.fromEntries(known);
}

/** Strings of an answer, at any depth. */
function strings(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return [...Object.keys(value), ...Object.values(value).flatMap(strings)];
}

function expectHarmless(label: string, { status, body }: RawAnswer): void {
  expect([200, 400, 401, 403, 404, 409, 413, 415, 429], `${label}: ${status} ${body.slice(0, 300)}`).toContain(status);
  expect(body).not.toMatch(/\bat .+:\d+:\d+|node_modules|\.ts\b|SQLSTATE|syntax error|invalid byte sequence|pg_/);
  expect(body.length, label).toBeLessThan(status === 200 ? 300_000 : 10_000);
  const texts = body === "" ? [] : strings(JSON.parse(body));
  for (const text of texts) expect(text, label).not.toMatch(/\p{Cc}/u);
}

describe("every text of every method", () => {
  it("is reached at every depth", () => {
    const walked = outside.flatMap((method) => stringFillers(method.input).map((fill) => JSON.stringify(fill("?"))));
    expect(walked).toContain('{"spec":{"budget":{"window":"?"}}}');
    expect(walked).toContain('{"scopes":["?"]}');
    expect(walked.length).toBeGreaterThan(30);
  });

  it.each(outside.map((method) => [pathOf(method), method] as const))(
    "of %s can hold hostile text without harm",
    async (path, method) => {
      const isOperators = accessOf(method).every((rule) => rule.startsWith("operator:"));
      const credential = isOperators ? operator : token;
      for (const fill of stringFillers(method.input)) {
        for (const text of HOSTILE) {
          const request = { ...validRequest(method), ...fill(text) };
          expectHarmless(`${path} ${JSON.stringify(fill(text)).slice(0, 90)}`, await post(path, credential, request));
        }
      }
      for (const body of ["", "null", "[]", "{", '"x"', "\u0000", '{"\\u001b[31m":1}', "[".repeat(50_000)]) {
        const headers = [...as(credential), ...JSON_TYPE];
        expectHarmless(`${path} ${body.slice(0, 40)}`, await send(path, { headers, body }));
      }
    },
  );

  it("causes no error in the log of any service, and changes nothing", async () => {
    for (const role of ["auth", "policy", "usage", "gateway"]) {
      const errors = (await node.log(role)).split("\n").filter((line) => /"level":"(error|fatal)"/.test(line));
      expect(errors, role).toEqual([]);
    }
    await node.healthy();
  });
});

describe("every route", () => {
  const routes = [...INFERENCE, ...outside.map((method) => ({ path: pathOf(method), method: "POST" }))];

  it.each(routes)("$path refuses two credentials in one request, in whatever headers", async ({ path, method }) => {
    const both = [
      [...as(token), "x-api-key", operator],
      [...as(token), ...as(operator)],
      [...as(operator), ...as(token)],
      ["x-api-key", token, "x-api-key", operator],
      ["authorization", "Basic eDp5", "x-api-key", token],
      ["authorization", `Bearer ${token}, Bearer ${operator}`],
    ];
    for (const headers of both) {
      const request = { method, headers: [...headers, ...JSON_TYPE], ...(method === "POST" && { body: "{}" }) };
      const { status } = await send(path, request);
      expect([headers.map((each) => each.slice(0, 12)), status]).toEqual([expect.anything(), 401]);
    }
  });

  it.each(routes)("$path refuses a malformed credential at once", async ({ path, method }) => {
    const started = performance.now();
    const huge = await send(path, { method, headers: as("x".repeat(64 * 1024)) });
    expect(huge.status).toBe(431);
    for (const rubbish of [
      "x".repeat(12_000),
      "rp_".repeat(4_000),
      "' or 1=1 --",
      "rp_live_%00",
      "\u00ff\u00fe",
      "rp_live_" + "a".repeat(73),
    ]) {
      const request = { method, headers: [...as(rubbish), ...JSON_TYPE], ...(method === "POST" && { body: "{}" }) };
      const { status, body } = await send(path, request);
      expect([rubbish.slice(0, 20), status]).toEqual([rubbish.slice(0, 20), 401]);
      expect(body).not.toContain(rubbish);
    }
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it.each(routes)("$path accepts its own HTTP method only", async ({ path, method }) => {
    for (const other of ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"].filter(
      (each) => each !== method,
    )) {
      const headers = [...as(token), "x-http-method-override", method, ...JSON_TYPE];
      expect([other, (await send(path, { method: other, headers })).status]).toEqual([other, 405]);
    }
  });

  it("refuses bodies that are too large or do not match their headers", async () => {
    for (const { path, method } of routes) {
      if (method !== "POST") continue;
      // Refused by its content-length, before any of it is sent.
      const bytes = path.startsWith("/v1/") ? 51 << 20 : 3 << 20;
      const { status } = await send(path, { headers: [...as(token), ...JSON_TYPE, "content-length", `${bytes}`] });
      expect([path, status]).toEqual([path, 413]);
      for (const type of [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/grpc",
        "\u00ff",
      ]) {
        const answer = await send(path, { headers: [...as(token), "content-type", type], body: "<x/>" });
        expect([path, type, answer.status < 500 && answer.status >= 400]).toEqual([path, type, true]);
      }
    }
  });
});

describe("a refused upload", () => {
  // By a client that writes its whole body, over a connection that closes after the answer.
  const upload = (path: string, bytes: number, headers: string[]) =>
    send(path, { headers: [...headers, ...JSON_TYPE], body: `{"name":"${"x".repeat(bytes)}"}` });

  it.each(["/v1/chat/completions", pathOf(outside[0] as DescMethod)])(
    "by %s gets the refusal, and not a broken pipe",
    async (path) => {
      const bytes = path.startsWith("/v1/") ? 55 << 20 : 8 << 20;
      expect((await upload(path, bytes, as(token))).status).toBe(413);
      const [status, body] = await upload(path, bytes, []).then((answer) => [answer.status, answer.body]);
      expect([401, 413]).toContain(status);
      expect(JSON.parse(`${body}`)).toBeTypeOf("object");
      expect((await upload(path, 900_000, [])).status).toBe(401);
    },
  );
});

describe("an internal method", () => {
  const tricks = (path: string): readonly string[] => [
    `/${path}`,
    `${path}/`,
    `${path}//`,
    `${path}?x=1`,
    `${path};x`,
    `${path}%20`,
    `${path}%00`,
    `/.${path}`,
    `/x/..${path}`,
    `/v1/..${path}`,
    `/v1/models/..%2f..${path}`,
    `/routeplane.auth.v1.KeyService/..%2f..${path}`,
    `/routeplane.auth.v1.KeyService/ListKeys/../..${path}`,
    path.toUpperCase(),
    path.toLowerCase(),
    path.replace("/", "/%2f"),
    path.replaceAll(".", "%2e"),
    path.replace("routeplane", "%72outeplane"),
    path.replaceAll("/", "\\"),
    `http://127.0.0.1:${node.port}${path}`,
    `http://auth${path}`,
  ];

  it.each(internal.map((method) => pathOf(method)))("%s is unreachable by every spelling of its path", async (path) => {
    for (const credential of [token, operator]) {
      for (const target of tricks(path)) {
        const { status, body } = await post(target, credential, {});
        // Only as a model of that name may it be requested under another route.
        expect([target, [400, 404, 405].includes(status)]).toEqual([target, true]);
        expect(body).not.toMatch(/INTERNAL_ONLY|permission_denied/);
      }
    }
  });

  it("is not reached through a header that names it", async () => {
    for (const method of internal) {
      for (const name of ["x-original-url", "x-rewrite-url", "x-forwarded-uri", "x-forwarded-path"]) {
        const headers = [...as(token), ...JSON_TYPE, name, pathOf(method)];
        const { status, body } = await send("/routeplane.auth.v1.IdentityService/WhoAmI", { headers, body: "{}" });
        expect([status, Object.keys(JSON.parse(body))]).toEqual([200, ["account", "key"]]);
      }
    }
  });
});
