import { expect, it } from "vitest";
import { readConfig } from "./config.ts";

const complete = {
  ROUTEPLANE_PORT: "7002",
  ROUTEPLANE_GRPC_PORT: "7003",
  ROUTEPLANE_SERVICE_TOKEN: "rps_x",
  ROUTEPLANE_SERVICE_CREDENTIALS: `gateway:${"0f".repeat(32)}`,
  ROUTEPLANE_DATABASE_URL: "postgres://u:p@127.0.0.1/routeplane",
  ROUTEPLANE_AUTH_URL: "http://127.0.0.1:7001",
  ROUTEPLANE_USAGE_URL: "http://127.0.0.1:7004",
};

it("expires reservations after 15 minutes by default", () => {
  expect(readConfig(complete)).toMatchObject({ host: "127.0.0.1", port: 7002, reservationTtlMs: 900_000 });
  expect(readConfig({ ...complete, ROUTEPLANE_HOLD_TTL_SECS: "5" })).toMatchObject({ reservationTtlMs: 5_000 });
});

it("listens for changes at an address of its own, so that the pool can use a pooler in transaction mode", () => {
  const url = complete.ROUTEPLANE_DATABASE_URL;
  const current = (text: string): unknown => expect.objectContaining({ current: text });
  const defaults = { poolSize: 7, statementTimeoutMs: 5_000 };
  expect(readConfig(complete).database).toEqual({ url: current(url), listenUrl: current(url), ...defaults });
  const settings = {
    ROUTEPLANE_DATABASE_LISTEN_URL: "postgres://u:p@127.0.0.2/routeplane",
    ROUTEPLANE_DATABASE_POOL_SIZE: "20",
    ROUTEPLANE_DATABASE_STATEMENT_TIMEOUT_MS: "1500",
  };
  const listenUrl = settings.ROUTEPLANE_DATABASE_LISTEN_URL;
  const read = readConfig({ ...complete, ...settings }).database;
  expect(read).toMatchObject({ url: current(url), listenUrl: current(listenUrl) });
  expect(read).toMatchObject({ poolSize: 20, statementTimeoutMs: 1_500 });
  for (const [name, value] of [
    ["ROUTEPLANE_DATABASE_LISTEN_URL", "http://x"],
    ["ROUTEPLANE_DATABASE_POOL_SIZE", "1"],
    ["ROUTEPLANE_DATABASE_STATEMENT_TIMEOUT_MS", "0"],
  ] as const)
    expect(() => readConfig({ ...complete, [name]: value })).toThrow(name);
});

it("reports every missing and faulty variable at once", () => {
  const faulty = { ROUTEPLANE_DATABASE_URL: "mysql://x", ROUTEPLANE_HOLD_TTL_SECS: "0" };
  for (const name of [...Object.keys(complete), ...Object.keys(faulty)]) {
    expect(() => readConfig(faulty)).toThrow(name);
  }
});
