import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { mintToken } from "@routeplane/credentials";
import { CHECKOUT } from "@routeplane/standalone";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { mintKey } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { serviceAccessOf } from "../harness/service-access.ts";

/** Tests of the servers in `examples/servers`, each as a process of its own on a node. */

const EXAMPLES = join(CHECKOUT, "examples/servers");

let node: TestNode;
let environment: Readonly<Record<string, string>>;
beforeAll(async () => {
  node = await startNode();
  const { authUrl, serviceCredential } = await serviceAccessOf(node);
  environment = { PORT: "0", ROUTEPLANE_AUTH_URL: authUrl, ROUTEPLANE_SERVICE_CREDENTIAL: serviceCredential };
});
afterAll(() => node.remove());

/** Starts an example. @returns its port */
async function start(name: string): Promise<number> {
  const child = spawn(process.execPath, [join(EXAMPLES, name)], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  return (JSON.parse(line) as { readonly port: number }).port;
}

/** Calls a server with a token. @returns the text of its answer, or the status of its refusal */
type Call = (token: string | undefined) => Promise<string | number>;

function callHttp(port: number): Call {
  return async (token) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(`http://127.0.0.1:${port}/`, { headers });
    const text = await response.text();
    return response.ok ? text : response.status;
  };
}

function callGrpc(port: number): Call {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => client.close());
  return (token) => {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    const { promise, resolve } = Promise.withResolvers<string | number>();
    const bytes = (text: string): Buffer => Buffer.from(text);
    const text = (bytes: Buffer): string => bytes.toString();
    client.makeUnaryRequest("/example.Greeter/Hello", bytes, text, "world", metadata, (error, answer) =>
      resolve(error === null ? (answer ?? "") : error.code),
    );
    return promise;
  };
}

/** Begins a call that ends with the key of its caller. Resolves once the answer has begun, with a promise of how it ends. */
type BeginCall = (port: number, token: string) => Promise<{ readonly end: Promise<unknown> }>;

const beginHttp: BeginCall = async (port, token) => {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`http://127.0.0.1:${port}/events`, { headers });
  const body = response.body?.getReader() ?? expect.fail("no body");
  expect(Buffer.from((await body.read()).value ?? []).toString()).toBe("begun");
  const end = body.read().then(
    ({ done }) => (done ? "whole" : "more"),
    () => "broken off",
  );
  return { end };
};

const beginGrpc: BeginCall = async (port, token) => {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => client.close());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const text = (bytes: Buffer): string => bytes.toString();
  const call = client.makeServerStreamRequest(
    "/example.Greeter/Events",
    () => Buffer.from("world"),
    text,
    "",
    metadata,
  );
  const end = once(call, "end").then(
    () => "whole",
    (error: { readonly code: number }) => error.code,
  );
  expect(await once(call, "data")).toEqual(["begun"]);
  return { end };
};

describe.each([
  { name: "node-http.ts", calls: callHttp, begin: beginHttp, unauthenticated: 401, denied: 403, ended: "broken off" },
  { name: "fastify.ts", calls: callHttp, begin: beginHttp, unauthenticated: 401, denied: 403, ended: "broken off" },
  { name: "hono.ts", calls: callHttp, begin: beginHttp, unauthenticated: 401, denied: 403, ended: "broken off" },
  { name: "grpc-js.ts", calls: callGrpc, begin: beginGrpc, unauthenticated: 16, denied: 7, ended: 16 },
])("the server in $name", ({ name, calls, begin, unauthenticated, denied, ended }) => {
  it("serves only callers with a valid key and the scope, until the key is revoked", async () => {
    const call = calls(await start(name));
    const { id, token } = await mintKey(node, name);
    expect(await call(token)).toBe(`hello ${id}`);
    expect(await call(undefined)).toBe(unauthenticated);
    expect(await call(mintToken("key"))).toBe(unauthenticated);
    expect(await call((await mintKey(node, `${name} reader`, "keys:read")).token)).toBe(denied);
    await node.cli(["cloud", "keys", "revoke", id]);
    await eventually(async () => (await call(token)) === unauthenticated, 5_000);
  });

  it("ends a call that still runs when the key of its caller is revoked", async () => {
    const { id, token } = await mintKey(node, `${name} caller`);
    const { end } = await begin(await start(name), token);
    await node.cli(["cloud", "keys", "revoke", id]);
    expect(await end).toBe(ended);
  });

  it("needs the number of lines that the README of the client states", async () => {
    const source = await readFile(join(EXAMPLES, name), "utf8");
    const lines = source.split("\n").filter((line) => line.endsWith("// protects")).length;
    const readme = await readFile(join(CHECKOUT, "packages/client/README.md"), "utf8");
    expect(readme).toMatch(new RegExp(`\\(../../examples/servers/${name}\\)[^|]*\\| ${lines} +\\|`));
  });
});

it("covers every example", async () => {
  expect((await readdir(EXAMPLES)).toSorted()).toEqual(["fastify.ts", "grpc-js.ts", "hono.ts", "node-http.ts"]);
});
