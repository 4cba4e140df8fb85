import { expect, test } from "vitest";
import { parseNatsUrl } from "./address.ts";

test("reads user, password and every server of a cluster", () => {
  expect(parseNatsUrl("nats://routeplane:p%40ss@one:4333, nats://two")).toEqual({
    servers: ["one:4333", "two:4222"],
    user: "routeplane",
    password: "p@ss",
    tls: false,
    replicas: undefined,
  });
  expect(parseNatsUrl("tls://[::1]:4222")).toMatchObject({ servers: ["[::1]:4222"], user: undefined, tls: true });
});

test("reads how many servers are to have the stream", () => {
  expect(parseNatsUrl("nats://one,nats://two,nats://three?replicas=3")?.replicas).toBe(3);
});

test.each([
  "nats://one?replicas=2",
  "nats://one?replicas=",
  "",
  "localhost:4222",
  "http://one",
  "nats://",
  "nats://one,two",
])("refuses %j", (text) => {
  expect(parseNatsUrl(text)).toBeUndefined();
});
