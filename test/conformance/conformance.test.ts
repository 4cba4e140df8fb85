import { afterAll, beforeAll, describe, it } from "vitest";
import { CLIENTS } from "./clients.ts";
import { FEATURES } from "./clients/client.ts";
import { MODELS, type Routeplane, ROUTES, startRouteplane } from "./routeplane.ts";
import type { UpstreamWire } from "./upstream/received.ts";
import { type ScriptedUpstream, startScriptedUpstream, UPSTREAM_KEY } from "./upstream/scripted-upstream.ts";

/** Every client by every upstream wire, and by none: straight to the upstream, which shows that a check and the upstream are right. */

const UPSTREAM_WIRES = Object.keys(MODELS) as UpstreamWire[];

let upstream: ScriptedUpstream;
let routeplane: Routeplane;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  routeplane = await startRouteplane(upstream.url);
}, 120_000);

afterAll(async () => {
  await routeplane?.stop();
  await upstream?.close();
});

describe.each(CLIENTS)("$name", ({ wire, checks }) => {
  const features = FEATURES.filter((feature) => checks[feature] !== undefined);

  describe("direct", () => {
    it.each(features)("%s", async (feature) => {
      await checks[feature]?.({ url: upstream.url, apiKey: UPSTREAM_KEY, model: "scripted" });
    });
  });

  describe.each(ROUTES.includes(wire) ? UPSTREAM_WIRES : [])("%s", (upstreamWire) => {
    it.each(features)("%s", async (feature) => {
      const { node, apiKey } = routeplane;
      await checks[feature]?.({ url: node.url, apiKey, model: MODELS[upstreamWire] ?? "" });
    });
  });
});
