import { status } from "@grpc/grpc-js";
import { KeyService, NamespaceService } from "@routeplane/contracts/auth";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { createLogger } from "@routeplane/runtime";
import { connectGrpc, SERVING } from "@routeplane/testing";
import { afterAll, describe, expect, it } from "vitest";
import { rpcChain } from "./chain.ts";
import { startGrpcServer } from "./grpc-server.ts";
import { healthRoutes } from "./health.ts";
import { mount } from "./hot-methods.ts";
import { startRpcServer } from "./server.ts";

const chain = rpcChain({
  log: createLogger("test", (line) => line, "silent"),
  serviceCredentials: { callerOf: () => undefined },
  verifyToken: () => Promise.reject(new Error("health needs no credential")),
});
const keys = { listKeys: () => ({}) };
const at = { host: "127.0.0.1", port: 0 };
const servers = {
  Connect: await startRpcServer({
    ...at,
    ...chain,
    routes(router) {
      healthRoutes(SERVING)(router);
      router.service(KeyService, keys);
    },
  }),
  "grpc-js": await startGrpcServer({ ...at, ...chain, ...SERVING, services: [mount(KeyService, keys)] }),
};
const clients = Object.entries(servers).map(([name, { port }]) => [name, connectGrpc(`127.0.0.1:${port}`)] as const);
afterAll(async () => {
  for (const [, client] of clients) client.close();
  await Promise.all(Object.values(servers).map((server) => server.stop()));
});

describe.each(clients)("health of the %s server", (_, client) => {
  it.each(["", "liveness", "dependencies", KeyService.typeName, Health.typeName])(
    "is SERVING for %j",
    async (service) => {
      expect(await client.call(Health.method.check, { service })).toMatchObject({ status: Status.SERVING });
    },
  );

  it.each(["auth", NamespaceService.typeName])(
    "is NOT_FOUND for %j, which the port does not serve",
    async (service) => {
      await expect(client.call(Health.method.check, { service })).rejects.toMatchObject({ code: status.NOT_FOUND });
    },
  );
});
