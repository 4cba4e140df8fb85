import { type Authenticate, createServiceRelay, ServiceConnection } from "@routeplane/rpc";
import { newId } from "@routeplane/domain";
import { createLogger, readEnvironment, readTrustedProxies } from "@routeplane/runtime";
import { onTestFinished } from "vitest";
import { BodyBudget } from "../src/handlers/body-budget.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { managementRoutes, unknownMethod } from "../src/handlers/management.ts";
import { createRouter } from "../src/handlers/router.ts";

const log = createLogger("gateway", (line) => line, "silent");

const asKey: Authenticate = async () => {
  const ids = { keyId: newId("key"), namespaceId: newId("ns"), accountId: newId("acc") };
  return { kind: "key", ...ids, scopes: ["usage:read", "keys:write"], lineage: [], expiresAt: undefined };
};

/**
 * Starts the routes of the management API, which all lead to one service, until the test ends.
 *
 * @param proxies ranges of trusted proxies
 * @returns their address
 */
export async function startManagement(
  service: string | ServiceConnection,
  authenticate: Authenticate = asKey,
  proxies = "",
): Promise<string> {
  const connection = typeof service === "string" ? new ServiceConnection({ url: service }) : service;
  const relay = createServiceRelay("usage", connection, "rps_of-the-gateway");
  const { trustedProxies } = readEnvironment({ ROUTEPLANE_TRUSTED_PROXIES: proxies }, (env) => ({
    trustedProxies: readTrustedProxies(env),
  }));
  const relays = { auth: relay, policy: relay, usage: relay };
  const routes = managementRoutes({ relays, authenticate, trustedProxies });
  const router = createRouter({
    routes,
    unknownMethod,
    bodies: new BodyBudget(1 << 30),
    redact: (text) => text,
    log,
    clock: Date.now,
  });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
  onTestFinished(async () => {
    await server.stop();
    await relay.stop();
  });
  return `http://127.0.0.1:${server.port}`;
}
