import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mintToken } from "@routeplane/credentials";
import { isInternal, publishedServices } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { unknownMethod } from "../src/handlers/management.ts";
import { BodyBudget } from "../src/handlers/body-budget.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { INFERENCE_ROUTES } from "../src/handlers/inference.ts";
import { createRouter } from "../src/handlers/router.ts";
import { wireUnservedGateway } from "./route-table.ts";

const log = createLogger("gateway", (line) => line, "silent");

/** Starts a gateway whose services do not answer, and whose upstream counts requests. */
async function startUnservedGateway() {
  let reached = 0;
  const { routes } = wireUnservedGateway(log, () => reached++);
  const router = createRouter({
    routes,
    unknownMethod,
    bodies: new BodyBudget(1 << 30),
    redact: (text) => text,
    log,
    clock: Date.now,
  });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...router });
  const url = `http://127.0.0.1:${server.port}`;
  return { url, routes, reached: () => reached, stop: () => server.stop() };
}

const BODY = JSON.stringify({ model: "echo", messages: [{ role: "user", content: "hi" }] });

describe("every route is governed", () => {
  it("reaches no upstream without a verified key, on any route, by any method, with any credential", async () => {
    const gateway = await startUnservedGateway();
    const credentials = [{}, { authorization: "Bearer rp_x" }, { "x-api-key": "rps_x" }, { "x-api-key": "'; --" }];
    for (const { path, reaches } of gateway.routes) {
      for (const method of ["GET", "POST", "PUT", "OPTIONS"]) {
        for (const headers of reaches === "service" ? credentials.slice(0, 1) : credentials) {
          const init = { method, headers: { "content-type": "application/json", ...headers } };
          const target = `${gateway.url}${path.replace("*", "echo")}`;
          const response = await fetch(target, method === "GET" ? init : { ...init, body: BODY });
          await response.text();
          expect([200, 204, 401, 403, 404, 405, 503]).toContain(response.status);
          if (reaches === "upstream" && method === "POST") expect([401, 503]).toContain(response.status);
        }
      }
    }
    expect(gateway.reached()).toBe(0);
    await gateway.stop();
  });

  it("gives the upstreams only to the pipeline and the wiring", () => {
    const sources = join(import.meta.dirname, "../src");
    const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((name) =>
      /(?<!\.test)\.ts$/.test(name),
    );
    const naming = (pattern: RegExp): string[] =>
      files.filter((name) => pattern.test(readFileSync(join(sources, name), "utf8"))).toSorted();
    // An upstream may wrap another one.
    const outside = (names: string[]): string[] => names.filter((name) => !name.startsWith("upstreams/"));
    expect(outside(naming(/\bupstream\.send\(/))).toEqual(["domain/request/upstream-calls.ts"]);
    expect(naming(/UpstreamCalls\(/)).toEqual(["domain/pipeline.ts"]);
    expect(outside(naming(/^import (?!type ).*from "\..*\/upstreams\//m))).toEqual(["app.ts"]);
    expect(outside(naming(/from "undici"/))).toEqual([]);
  });

  it("declares for each route what it calls, and has one that calls an upstream", async () => {
    const gateway = await startUnservedGateway();
    const reaching = (what: string) => gateway.routes.filter(({ reaches }) => reaches === what).map(({ path }) => path);
    expect(reaching("upstream")).toEqual(INFERENCE_ROUTES.map(({ path }) => path));
    expect(reaching("gateway")).toEqual(["/v1/models", "/v1/models/*", "/v1/key", "/healthz"]);
    await gateway.stop();
  });
});

describe("management routes", () => {
  const methods = Object.values(publishedServices())
    .flat()
    .flatMap((service) => service.methods);

  it("are exactly the methods of the contracts that are not internal", async () => {
    const gateway = await startUnservedGateway();
    const served = gateway.routes.filter(({ reaches }) => reaches === "service").map(({ path }) => path);
    const outside = methods.filter((method) => !isInternal(method));
    expect(served.toSorted()).toEqual(outside.map(({ parent, name }) => `/${parent.typeName}/${name}`).toSorted());
    await gateway.stop();
  });

  it("answer an internal method like an unknown one, byte for byte", async () => {
    const gateway = await startUnservedGateway();
    const answerTo = async (path: string): Promise<[number, string]> => {
      const response = await fetch(gateway.url + path, { method: "POST", body: "{}" });
      return [response.status, await response.text()];
    };
    const unknown = await answerTo("/routeplane.auth.v1.KeyService/Nothing");
    expect(unknown[0]).toBe(404);
    const internal = methods.filter(isInternal);
    expect(internal.length).toBeGreaterThan(3);
    for (const { parent, name } of internal) expect(await answerTo(`/${parent.typeName}/${name}`)).toEqual(unknown);
    await gateway.stop();
  });

  it("refuse a service credential, in whichever header", async () => {
    const gateway = await startUnservedGateway();
    for (const headers of [{ authorization: "Bearer rps_x" }, { "x-api-key": "rps_x" }, { authorization: "rps_x" }]) {
      const response = await fetch(`${gateway.url}/routeplane.auth.v1.KeyService/ListKeys`, {
        method: "POST",
        headers,
      });
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ code: "unauthenticated" });
    }
    await gateway.stop();
  });

  it("answer UNAVAILABLE at once while their service does not answer", async () => {
    const gateway = await startUnservedGateway();
    const started = performance.now();
    const response = await fetch(`${gateway.url}/routeplane.usage.v1.UsageService/GetUsage`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${mintToken("key")}` },
      body: "{}",
    });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "unavailable" });
    expect(performance.now() - started).toBeLessThan(3_000);
    await gateway.stop();
  });
});
