import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DescMessage, type DescMethod, ScalarType } from "@bufbuild/protobuf";
import { mintToken } from "@routeplane/credentials";
import { isInternal, publishedServices } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sendJson, startFakeProvider, type FakeProvider } from "../../services/gateway/test/fake-provider.ts";
import {
  type Canary,
  canary,
  canariesIn,
  searchCommandLines,
  searchDatabase,
  searchFolder,
  tokenCanaries,
} from "../harness/canaries.ts";
import { superuserUrl } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of promise 7: a token is only in the answer of its mint, however it was used and misused. */

const PROVIDER_KEY = "sk-canary-0123456789abcdef0123456789";
/** Files in which a node keeps secrets for itself, for NATS and for the CLI, readable for their owner only. */
const SAVED = ["secrets.json", "api-key", "operator-key", "nats/nats.conf"];

let node: TestNode;
let upstream: FakeProvider;
let folder: string;
/** Every answer except those of mints, with its request. */
const answers: { place: string; text: string }[] = [];
const canaries: Canary[] = [];
let operator: string;

beforeAll(async () => {
  upstream = await startFakeProvider((response, { headers }) =>
    sendJson(response, 400, {
      error: { message: `bad key ${headers.authorization}`, type: PROVIDER_KEY, param: null },
    }),
  );
  folder = await mkdtemp(join(tmpdir(), "routeplane-canaries-"));
  const providers = join(folder, "providers.yaml");
  const lines = ["providers:", "  - name: leaky", "    protocol: openai", `    base_url: ${upstream.baseUrl}`];
  await writeFile(providers, [...lines, "    api_key_env: LEAKY_KEY", "    models: [{id: leaky}]"].join("\n"));
  const environment = { ROUTEPLANE_PROVIDERS: providers, LEAKY_KEY: PROVIDER_KEY, ROUTEPLANE_LOG_LEVEL: "debug" };
  node = await startNode({ environment });
  operator = await node.operatorKey();
  canaries.push(...(await secretsOfNode()), canary("the provider's key", PROVIDER_KEY));
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

async function secretsOfNode(): Promise<readonly Canary[]> {
  const secrets = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8"));
  const { serviceToken, serviceTokens, keyPeppers, superuserPassword, databasePasswords } = secrets;
  const { natsPassword, natsPasswords } = secrets;
  return [
    ...Object.entries({ workload: serviceToken, ...serviceTokens }).flatMap(([caller, token]) =>
      tokenCanaries(`the service credential of ${caller}`, String(token)),
    ),
    ...tokenCanaries("the operator's token", operator),
    ...tokenCanaries("the first key", await node.apiKey()),
    canary("the pepper", keyPeppers.split(":")[1]),
    ...Object.entries({ admin: natsPassword, ...natsPasswords }).map(([user, password]) =>
      canary(`the NATS password of ${user}`, String(password)),
    ),
    canary("the superuser's password", superuserPassword),
    ...Object.entries(databasePasswords).map(([role, password]) => canary(role, String(password))),
  ];
}

async function send(path: string, headers: Record<string, string>, body?: unknown): Promise<Response> {
  const json = { "content-type": "application/json", ...headers };
  if (body === undefined) return fetch(node.url + path, { headers });
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(node.url + path, { method: "POST", headers: json, body: text });
}

/** Sends a request, and keeps the answer with its headers. */
async function use(path: string, headers: Record<string, string>, body?: unknown): Promise<number> {
  const response = await send(path, headers, body);
  const place = `answer ${response.status} of ${path.replace(/rp[ow]?_\w+/g, "<token>")}`;
  answers.push({ place, text: JSON.stringify([...response.headers]) + (await response.text()) });
  return response.status;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const outside: readonly DescMethod[] = Object.values(publishedServices())
  .flat()
  .flatMap((service) => service.methods)
  .filter((method) => !isInternal(method));
const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

async function mint(name: string): Promise<string> {
  const scopes = ["inference:*", "keys:*", "policy:*", "usage:*", "namespace:*"];
  const request = { namespace: "default", name, scopes };
  const response = await send("/routeplane.auth.v1.KeyService/MintRootKey", bearer(operator), request);
  const { token } = (await response.json()) as { token: string };
  canaries.push(...tokenCanaries(name, token));
  return token;
}

/** Opens a session, and creates a sign-in code that stays unused. @returns the token of the session */
async function openSession(name: string, opener: string): Promise<string> {
  const { token } = await answerOf("/routeplane.auth.v1.SessionService/CreateSession", opener);
  const { code } = await answerOf("/routeplane.auth.v1.SessionService/CreateSignInCode", opener);
  canaries.push(...tokenCanaries(name, token ?? ""), canary(`a sign-in code beside ${name}`, code ?? ""));
  return token ?? "";
}

async function answerOf(path: string, token: string): Promise<{ readonly token?: string; readonly code?: string }> {
  return (await send(path, bearer(token), {})).json() as Promise<{ readonly token?: string; readonly code?: string }>;
}

async function idOf(token: string): Promise<string> {
  const answer = await send("/routeplane.auth.v1.IdentityService/WhoAmI", bearer(token), {});
  return ((await answer.json()) as { key: { keyId: string } }).key.keyId;
}

/** A request with `text` in every field that can hold one, at every depth. */
function filled(message: DescMessage, text: string, depth = 0): Record<string, unknown> {
  return Object.fromEntries(
    message.fields.flatMap((field): [string, unknown][] => {
      if (field.fieldKind === "scalar" && field.scalar === ScalarType.STRING) return [[field.jsonName, text]];
      if (field.fieldKind === "list" && field.listKind === "scalar" && field.scalar === ScalarType.STRING) {
        return [[field.jsonName, [text]]];
      }
      const isOurs = field.fieldKind === "message" && field.message.typeName.startsWith("routeplane.") && depth < 8;
      return isOurs ? [[field.jsonName, filled(field.message, text, depth + 1)]] : [];
    }),
  );
}

const chat = (content: string, model = "echo") => ({ model, messages: [{ role: "user", content }] });

it("finds no token outside the answer of its mint, however it was used and misused", async () => {
  const token = await mint("a key that is used rightly");
  expect(await use("/v1/chat/completions", bearer(token), chat("hello"))).toBe(200);
  expect(await use("/v1/models", { "x-api-key": token })).toBe(200);
  expect(await use("/v1/chat/completions", bearer(token), chat("hello", "leaky"))).toBe(400);
  expect(upstream.requests).toHaveLength(1);
  expect(upstream.requests[0]?.headers.authorization).toBe(`Bearer ${PROVIDER_KEY}`);
  for (const method of outside) await use(pathOf(method), bearer(token), {});

  const rotation = await send("/routeplane.auth.v1.KeyService/RotateKey", bearer(token), { id: await idOf(token) });
  const { token: rotated } = (await rotation.json()) as { token: string };
  canaries.push(...tokenCanaries("a key after its rotation", rotated));
  expect(await use("/v1/models", bearer(rotated))).toBe(200);
  expect(await use("/v1/models", bearer(token))).toBe(200);

  for (const [name, opener] of [
    ["a session of a key", rotated],
    ["a session of the operator", operator],
  ] as const) {
    const session = await openSession(name, opener);
    // EndSession is among the methods: the rest are called by a session that has ended.
    for (const method of outside) await use(pathOf(method), bearer(session), {});
    await use("/v1/chat/completions", bearer(session), chat("hello", session));
    await use(`/v1/models/${session}`, bearer(`${session}x`));
  }

  const stray = await mint("a key that is put everywhere");
  const unknown = mintToken("key");
  canaries.push(...tokenCanaries("a key that never was", unknown));
  for (const secret of [stray, unknown, operator]) {
    const misplaced = [
      { cookie: `key=${secret}` },
      { "x-request-id": secret },
      { "user-agent": secret },
      { "x-api-key": `${secret} x` },
    ];
    const malformed = [
      bearer(`${secret}x`),
      bearer(secret.slice(0, -1)),
      { authorization: secret },
      { authorization: `Basic ${secret}` },
    ];
    const both = { ...bearer(token), "x-api-key": secret };
    for (const headers of [...misplaced, ...malformed, both, bearer(unknown)]) {
      await use("/v1/chat/completions", headers, chat("hello"));
      for (const method of outside) await use(pathOf(method), headers, {});
    }
    for (const path of [
      `/${secret}`,
      `/v1/models/${secret}`,
      `/v1/models?api_key=${secret}`,
      `/routeplane.${secret}/X`,
    ]) {
      await use(path, bearer(token));
      await use(path, bearer(token), {});
    }
    await use("/v1/chat/completions", bearer(token), chat("hello", secret));
    await use("/v1/chat/completions", bearer(token), { ...chat("hello"), [secret]: secret });
    await use("/v1/chat/completions", bearer(token), { ...chat("hello"), messages: secret });
    await use("/v1/chat/completions", bearer(token), `{"model": "${secret}`);
    for (const credential of [token, operator]) {
      for (const method of outside) {
        await use(pathOf(method), bearer(credential), filled(method.input, secret));
        await use(pathOf(method), bearer(credential), { [secret]: secret });
        await use(pathOf(method), bearer(credential), { spec: { [secret]: { budget: secret } } });
        await use(pathOf(method), bearer(credential), `{"${secret}`);
      }
    }
    const spec = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "1" } };
    await use("/routeplane.policy.v1.PolicyService/CreatePolicy", bearer(token), { name: secret, spec });
    await use("/routeplane.auth.v1.KeyService/MintKey", bearer(token), { name: secret, scopes: ["keys:read"] });
  }

  // The event of the last request is in the database once the list shows it.
  await eventually(async () => {
    const log = await send("/routeplane.usage.v1.UsageService/ListRequests", bearer(token), { pageSize: 100 });
    const { requests } = (await log.json()) as { requests: { status: string }[] };
    return requests.length >= 2 && requests.every(({ status }) => status !== "REQUEST_STATUS_PENDING");
  });

  const database = await searchDatabase(await superuserUrl(node.home), canaries);
  const commandLines = await searchCommandLines(node.home, canaries);
  const files = await searchFolder(node.home, canaries, new Set(SAVED));
  const output = node.stdout() + node.stderr();
  const hits = [
    ...answers.flatMap(({ place, text }) => canariesIn(place, text, canaries)),
    ...database.hits,
    ...commandLines.hits,
    ...files.hits,
    ...canariesIn("the output of the command", output, canaries),
  ];
  expect([...new Set(hits)]).toEqual([]);
  expect(answers.length).toBeGreaterThan(300);
  expect(database.rows).toBeGreaterThan(8);
  expect(commandLines.processes).toBeGreaterThanOrEqual(8);
  expect(files.bytes).toBeGreaterThan(10_000_000);
});

it("makes saved secrets readable for their owner only", async () => {
  for (const file of SAVED) expect((await stat(join(node.home, file))).mode & 0o777).toBe(0o600);
});

describe("the search for tokens", () => {
  const token = mintToken("key");
  const planted = tokenCanaries("planted", token);
  const both = ["planted, whole", "planted, its secret"];

  it("finds a token and its secret in any text, plain, as base64 and in a URL", () => {
    expect(canariesIn("log", `{"key":"${token}"}`, planted)).toEqual(both.map((name) => `log: ${name}`));
    expect(canariesIn("log", `x${token.split("_")[3]}x`, planted)).toEqual(["log: planted, its secret"]);
    expect(canariesIn("log", Buffer.from(token).toString("base64"), planted)).toEqual(["log: planted, whole"]);
    expect(canariesIn("log", encodeURIComponent("a/b+c"), [canary("url", "a/b+c")])).toEqual(["log: url"]);
    expect(canariesIn("log", Buffer.from("ab".repeat(32), "hex"), [canary("hex", "ab".repeat(32))])).toEqual([
      "log: hex",
    ]);
    expect(canariesIn("log", mintToken("key"), planted)).toEqual([]);
  });

  it("finds a planted file, row and command line", async () => {
    await mkdir(join(folder, "deep", "er"), { recursive: true });
    await writeFile(join(folder, "deep", "er", "some.dat"), Buffer.concat([Buffer.alloc(9), Buffer.from(token)]));
    const { hits } = await searchFolder(folder, planted);
    expect(hits).toEqual(both.map((name) => `deep/er/some.dat: ${name}`));
    const { hits: lines } = await searchCommandLines(node.home, [canary("a program", "/routeplane.mjs")]);
    expect(new Set(lines)).toEqual(new Set(["a command line: a program"]));
    const rows = await searchDatabase(await superuserUrl(node.home), [canary("a name", "a key that is used rightly")]);
    expect(rows.hits).toContain("auth.keys: a name");
    expect((await searchFolder(node.home, [canary("a name", "a key that is used rightly")])).hits.join()).toMatch(
      /postgres\//,
    );
  });
});
