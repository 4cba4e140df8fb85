import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { settledRow } from "../harness/gateway.ts";
import { CLIENTS } from "./clients.ts";
import { FEATURES } from "./clients/client.ts";
import { PLAIN_ROUTES } from "./clients/curl.ts";
import { ENDPOINT_CHECKS } from "./clients/other-endpoints.ts";
import { COST_MICRO_USD, EMBEDDING_MODEL, MODELS, type Routeplane, startRouteplane } from "./routeplane.ts";
import { prompt } from "./scenarios.ts";
import type { UpstreamWire } from "./upstream/received.ts";
import { startScriptedUpstream } from "./upstream/scripted-upstream.ts";
import { USAGE } from "./upstream/turn.ts";
import { UPSTREAM_KEY, type WireServer } from "./upstream/wire-server.ts";

/** Every client with every upstream wire, and also directly with the upstream, which shows that a check and the upstream are correct. */

const UPSTREAM_WIRES = Object.keys(MODELS) as UpstreamWire[];

let upstream: WireServer;
let routeplane: Routeplane;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  routeplane = await startRouteplane(upstream.url);
}, 120_000);

afterAll(async () => {
  await routeplane?.stop();
  await upstream?.close();
});

describe.each(CLIENTS)("$name", ({ checks }) => {
  const features = FEATURES.filter((feature) => checks[feature] !== undefined);

  describe("direct", () => {
    it.each(features)("%s", async (feature) => {
      await checks[feature]?.({ url: upstream.url, apiKey: UPSTREAM_KEY, model: "scripted" });
    });
  });

  describe.each(UPSTREAM_WIRES)("%s", (upstreamWire) => {
    it.each(features)("%s", async (feature) => {
      const { node, apiKey } = routeplane;
      await checks[feature]?.({ url: node.url, apiKey, model: MODELS[upstreamWire] });
    });
  });
});

describe.each(ENDPOINT_CHECKS)("$client, $endpoint", ({ endpoint, check }) => {
  // The upstream has no list of models: the node creates it.
  if (endpoint !== "models") {
    it("direct", () => check({ url: upstream.url, apiKey: UPSTREAM_KEY, model: "scripted" }));
  }

  it("node", () => {
    const { node, apiKey } = routeplane;
    return check({ url: node.url, apiKey, model: endpoint === "embeddings" ? EMBEDDING_MODEL : MODELS.messages });
  });
});

describe("the request log", () => {
  const pairs = UPSTREAM_WIRES.flatMap((route) => UPSTREAM_WIRES.map((upstreamWire) => ({ route, upstreamWire })));

  it.each(pairs)("has every token and its price, $route over $upstreamWire", async ({ route, upstreamWire }) => {
    const { node, apiKey } = routeplane;
    const { path, headers, body } = PLAIN_ROUTES[route];
    for (const stream of [false, true]) {
      const response = await fetch(`${node.url}${path}`, {
        method: "POST",
        headers: [...headers(apiKey), "content-type: application/json"].map(
          (line) => line.split(": ") as [string, string],
        ),
        body: JSON.stringify({ model: MODELS[upstreamWire], ...body(prompt("text")), stream }),
      });
      await response.text();
      expect(
        await settledRow(node, response.headers.get("x-request-id") ?? response.headers.get("request-id")),
      ).toMatchObject({
        status: "succeeded",
        model: MODELS[upstreamWire],
        prompt_tokens: USAGE.prompt,
        completion_tokens: USAGE.output,
        cost_micro_usd: COST_MICRO_USD,
        estimated: false,
        streamed: stream,
      });
    }
  });
});
