import { once } from "node:events";
import { createServer, type Http2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { createLogger } from "@routeplane/runtime";
import { expect, it, onTestFinished } from "vitest";
import { createServiceRelay } from "../src/clients/service-relay.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { managementRoutes, unknownMethod } from "../src/handlers/management.ts";
import { createRouter } from "../src/handlers/router.ts";

const log = createLogger("gateway", (line) => line, "silent");
const METHOD = "/routeplane.usage.v1.UsageService/WatchRequests";

/** A service that answers with these bytes and no end, and the connection that it answers on. */
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

async function startManagement(serviceUrl: string): Promise<string> {
  const relay = createServiceRelay("usage", serviceUrl);
  const routes = managementRoutes({ auth: relay, policy: relay, usage: relay });
  const router = createRouter({ routes, unknownMethod, redact: (text) => text, log, clock: Date.now });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
  onTestFinished(async () => {
    await server.stop();
    await relay.stop?.();
  });
  return `http://127.0.0.1:${server.port}`;
}

it("breaks off an answer that a service did not live to finish, so that nobody takes it for the whole", async () => {
  const service = await startService("the first part");
  const url = await startManagement(service.url);
  const response = await fetch(url + METHOD, { method: "POST", body: "{}" });
  const reader = response.body?.getReader();
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("the first part");
  // As the kernel does when a process is killed: the connection ends, and nothing is said on it.
  (await service.answered).socket.destroy();
  await expect(reader?.read()).rejects.toThrow("terminated");
});

it("says which service is away, and not where it would be", async () => {
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
