import { once } from "node:events";
import { type IncomingMessage, request as open } from "node:http";
import { createServer, type Http2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { ConnectRouter } from "@connectrpc/connect";
import { UsageService } from "@routeplane/contracts/usage";
import { CLIENT_ADDRESS, createAuthenticate, type KeyPrincipal, ServiceConnection } from "@routeplane/rpc";
import { rpcChain, startRpcServer } from "@routeplane/rpc/server";
import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it, onTestFinished } from "vitest";
import { startManagement } from "./management-under-test.ts";

const log = createLogger("gateway", (line) => line, "silent");
const METHOD = "/routeplane.usage.v1.UsageService/WatchRequests";

/** A service that answers with these bytes without an end, and the connection that it answers on. */
async function startService(bytes: string) {
  const server = createServer();
  const answered = new Promise<Http2Session>((resolve) => {
    server.on("stream", (stream) => {
      stream.on("error", () => {});
      stream.respond({ ":status": 200, "content-type": "application/connect+json" });
      stream.write(bytes);
      if (stream.session !== undefined) resolve(stream.session);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, answered };
}

it("breaks off the answer of a service that was killed, so that it is not taken for complete", async () => {
  const service = await startService("the first part");
  const url = await startManagement(service.url);
  const response = await fetch(url + METHOD, { method: "POST", body: "{}" });
  const reader = response.body?.getReader();
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("the first part");
  // Like the kernel when a process is killed: ends the connection without a further frame.
  (await service.answered).socket.destroy();
  await expect(reader?.read()).rejects.toThrow("terminated");
});

it("names the client's address to a service: that of the connection, or the one that a trusted proxy names", async () => {
  const named: unknown[] = [];
  const server = createServer();
  server.on("stream", (stream, headers) => {
    named.push(headers[CLIENT_ADDRESS]);
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const service = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const proxies of ["", "127.0.0.0/8"]) {
    const url = await startManagement(service, undefined, proxies);
    const headers = { "x-forwarded-for": "192.0.2.1, 198.51.100.7", [CLIENT_ADDRESS]: "192.0.2.2" };
    await fetch(`${url}/routeplane.usage.v1.UsageService/GetUsage`, { method: "POST", headers, body: "{}" });
  }
  expect(named).toEqual(["127.0.0.1", "198.51.100.7"]);
});

it("repeats a read whose answer breaks off, on another process", async () => {
  const bytes = ["the first part", undefined];
  const server = createServer();
  server.on("stream", (stream) => {
    const part = bytes.shift();
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/json" });
    if (part === undefined) stream.end("{}");
    else stream.write(part, () => stream.session?.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const url = await startManagement(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const response = await fetch(`${url}/routeplane.usage.v1.UsageService/GetUsage`, { method: "POST", body: "{}" });
  expect([response.status, await response.text()]).toEqual([200, "{}"]);
});

it("names the service that does not answer, and not its address", async () => {
  // Nothing listens on port 1.
  const url = await startManagement("http://127.0.0.1:1");
  const response = await fetch(url + METHOD, { method: "POST", body: "{}" });
  expect(response.status).toBe(503);
  const answer = (await response.json()) as { readonly details?: unknown };
  expect(answer).toMatchObject({ code: "unavailable", message: "the usage service does not answer; try again" });
  expect(answer.details).toMatchObject([
    { debug: { reason: "DEPENDENCY_UNAVAILABLE", metadata: { dependency: "usage" } } },
  ]);
});

describe("a call that is refused by its credential", () => {
  const served: string[] = [];

  async function verifyToken(token: string): Promise<KeyPrincipal> {
    if (token === "away") throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "auth is away");
    if (token !== "reader") throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key");
    const ids = { keyId: newId("key"), namespaceId: newId("ns"), accountId: newId("acc") };
    return { kind: "key", ...ids, scopes: ["keys:read"], lineage: [], expiresAt: undefined };
  }

  async function startBoth() {
    const chain = rpcChain({ log, serviceCredentials: { callerOf: () => undefined }, verifyToken });
    const routes = ({ service }: ConnectRouter): void => {
      service(UsageService, { getUsage: () => (served.push("usage"), {}) });
    };
    const server = await startRpcServer({ host: "127.0.0.1", port: 0, ...chain, routes });
    onTestFinished(() => server.stop());
    const serviceUrl = `http://127.0.0.1:${server.port}`;
    return { serviceUrl, url: await startManagement(serviceUrl, createAuthenticate(verifyToken)) };
  }

  /** Calls the service itself, on its own port. @returns its answer */
  async function directly(serviceUrl: string, path: string, headers: Record<string, string>) {
    const connection = new ServiceConnection({ url: serviceUrl });
    const stream = await connection.request("POST", path, headers);
    stream.end();
    const [head] = (await once(stream, "response")) as [Record<string, unknown>];
    const body = await text(stream);
    connection.stop();
    return { status: head[":status"], type: head["content-type"], body };
  }

  /** Cuts off the request id, and the prefix with the length of a message in a stream. */
  const withoutId = (body: string): string => body.slice(body.indexOf("{")).replace(/"x-request-id":\["[^"]*"\]/, "");
  const credentials: [string, Record<string, string>][] = [
    ["none", {}],
    ["one that is unknown", { authorization: "Bearer unknown" }],
    ["one without the scope", { "x-api-key": "reader" }],
    ["two", { authorization: "Bearer reader", "x-api-key": "other" }],
    ["one that cannot be verified", { authorization: "Bearer away" }],
  ];
  const TYPES = [
    ["GetUsage", "application/json"],
    ["GetUsage", "application/proto"],
    ["WatchRequests", "application/connect+json"],
    ["WatchRequests", "application/connect+proto"],
  ] as const;

  it.each(credentials)(
    "(%s) gets the answer of the service, and nothing of its body is read",
    async (_, credential) => {
      const { serviceUrl, url } = await startBoth();
      for (const [method, type] of TYPES) {
        const path = `/routeplane.usage.v1.UsageService/${method}`;
        const own = await directly(serviceUrl, path, { ...credential, "content-type": type });
        const { port } = new URL(url);
        // The announced body is never sent.
        const headers = { ...credential, "content-type": type, "content-length": "60000" };
        const request = open({ host: "127.0.0.1", port, path, method: "POST", headers });
        request.flushHeaders();
        const [response] = (await once(request, "response")) as [IncomingMessage];
        const [first] = (await once(response, "data")) as [Buffer];
        request.on("error", () => {}).destroy();
        expect([type, response.statusCode, response.headers["content-type"]]).toEqual([type, own.status, own.type]);
        expect(withoutId(first.toString())).toBe(withoutId(own.body));
      }
      expect(served).toEqual([]);
    },
  );
});
