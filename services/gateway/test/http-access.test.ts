import { counter } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";
import { countRefusal } from "../src/handlers/request-metrics.ts";
import { startHttpUnderTest } from "./http-under-test.ts";

/** Label of the codes that upstreams write, which are not bounded. */
const CODE_OF_UPSTREAMS = "upstream";

async function valueOf(name: string, labels: Readonly<Record<string, string | number>>): Promise<number> {
  const { values } = await counter({ name, help: "", labels: Object.keys(labels) }).get();
  const isMeant = (all: object): boolean =>
    Object.entries(labels).every(([key, value]) => Reflect.get(all, key) === value);
  return values.find((sample) => isMeant(sample.labels))?.value ?? 0;
}

it("logs one line at info for a request, and counts it by route and refusals by code, never by what the client chose", async () => {
  const http = await startHttpUnderTest();
  onTestFinished(() => http.stop());
  const answer = await fetch(`${http.url}/ok?secret=x`);
  await fetch(`${http.url}/refused`, { method: "POST" });
  await fetch(`${http.url}/${"unknown".repeat(100)}`);
  const lines = await eventually(() => {
    const requests = http.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    return requests.length >= 3 && requests;
  });
  expect(lines).toHaveLength(3);
  expect(lines[0]).toEqual({
    level: "info",
    time: expect.any(String),
    service: "gateway",
    requestId: answer.headers.get("x-request-id"),
    method: "GET",
    path: "/ok",
    status: 200,
    ms: expect.any(Number),
    msg: "request",
  });
  expect(lines[2]?.["path"]).toHaveLength(200);
  expect(await valueOf("routeplane_gateway_requests_total", { route: "/ok", status: "200" })).toBe(1);
  expect(await valueOf("routeplane_gateway_requests_total", { route: "/refused", status: "401" })).toBe(1);
  expect(await valueOf("routeplane_gateway_requests_total", { route: "none", status: "404" })).toBe(1);
  expect(await valueOf("routeplane_gateway_refusals_total", { code: "invalid_api_key" })).toBe(1);
  countRefusal("an upstream may write anything here");
  expect(await valueOf("routeplane_gateway_refusals_total", { code: CODE_OF_UPSTREAMS })).toBe(1);
});
