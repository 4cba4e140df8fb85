import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { Health } from "@routeplane/contracts/health";
import { UsageService } from "@routeplane/contracts/usage";
import { createLogger } from "@routeplane/runtime";
import { connectGrpc } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";
import { boundDeadlines } from "./bound-deadlines.ts";
import { rpcChain } from "./chain.ts";
import { startRpcServer } from "./server.ts";

/** Time that each handler has, in milliseconds; undefined if it has no deadline. */
const timeouts: (number | undefined)[] = [];

const router = createConnectRouter();
boundDeadlines(({ service }: ConnectRouter) => {
  service(KeyService, {
    listKeys: (_, { timeoutMs }) => {
      timeouts.push(timeoutMs());
      return {};
    },
  });
  service(UsageService, {
    async *watchRequests(_, { timeoutMs }) {
      timeouts.push(timeoutMs());
      yield {};
    },
  });
})(router);

async function call(method: string, type: string, header: Record<string, string>): Promise<string> {
  const handler = router.handlers.find(({ requestPath }) => requestPath.endsWith(method));
  const isEnveloped = type !== "application/proto";
  const request = {
    httpVersion: "2.0",
    method: "POST",
    url: `http://localhost${handler?.requestPath}`,
    header: new Headers({ "content-type": type, ...header }),
    async *body() {
      yield new Uint8Array(isEnveloped ? 5 : 0);
    },
    signal: new AbortController().signal,
  };
  const response = await handler!({ ...request, body: request.body() });
  const parts: Uint8Array[] = [];
  for await (const part of (response.body ?? []) as AsyncIterable<Uint8Array>) parts.push(part);
  return `${Buffer.concat(parts).toString("latin1")} ${JSON.stringify([...(response.trailer ?? [])])}`;
}

it.each([
  ["application/proto", {}],
  ["application/proto", { "connect-timeout-ms": "60000" }],
  ["application/grpc", {}],
  ["application/grpc", { "grpc-timeout": "60S" }],
  ["application/grpc", { "grpc-timeout": "99999999H" }],
  ["application/grpc-web+proto", { "grpc-timeout": "31000m" }],
])("a unary call as %s with %o has 30 s", async (type, header) => {
  timeouts.length = 0;
  await call("ListKeys", type, header);
  expect(timeouts).toHaveLength(1);
  expect(timeouts[0]).toBeGreaterThan(29_000);
  expect(timeouts[0]).toBeLessThanOrEqual(30_000);
});

it.each([
  ["application/proto", { "connect-timeout-ms": "2000" }],
  ["application/grpc", { "grpc-timeout": "2S" }],
  ["application/grpc", { "grpc-timeout": "2000000u" }],
])("a unary call as %s with %o keeps its shorter deadline", async (type, header) => {
  timeouts.length = 0;
  await call("ListKeys", type, header);
  expect(timeouts[0]).toBeLessThanOrEqual(2_000);
});

it("a malformed deadline is refused", async () => {
  timeouts.length = 0;
  expect(await call("ListKeys", "application/proto", { "connect-timeout-ms": "soon" })).toContain("invalid_argument");
  expect(timeouts).toEqual([]);
});

it("a stream may have a deadline of an hour", async () => {
  timeouts.length = 0;
  const trailers = await call("WatchRequests", "application/grpc", { "grpc-timeout": "1H" });
  expect(trailers).toContain('["grpc-status","0"]');
  expect(timeouts).toEqual([undefined]);
});

it("a server shortens the deadline of a stock gRPC client to 30 s", async () => {
  timeouts.length = 0;
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    ...rpcChain({
      log: createLogger("test", (line) => line, "silent"),
      serviceCredentials: { callerOf: () => undefined },
      verifyToken: () => Promise.reject(new Error("health needs no credential")),
    }),
    routes: ({ service }) =>
      service(Health, {
        check: (_, { timeoutMs }) => {
          timeouts.push(timeoutMs());
          return {};
        },
      }),
  });
  onTestFinished(() => server.stop());
  const client = connectGrpc(`127.0.0.1:${server.port}`);
  onTestFinished(() => client.close());
  await client.call(Health.method.check, {}, { timeoutMs: 60_000 });
  expect(timeouts).toHaveLength(1);
  expect(timeouts[0]).toBeLessThanOrEqual(30_000);
});
