import { expect, it } from "vitest";
import { readAggregatorConfig } from "./config.ts";

const VARIABLES = {
  ROUTEPLANE_DATABASE_URL: "postgres://routeplane_aggregator:pw@127.0.0.1/routeplane",
  ROUTEPLANE_NATS_URL: "nats://127.0.0.1:4222",
  ROUTEPLANE_HOST: "127.0.0.1",
  ROUTEPLANE_PORT: "0",
};
const read = (variables: Readonly<Record<string, string>>) => readAggregatorConfig({ ...VARIABLES, ...variables });

it("keeps sums for ten years by default, and never shorter than requests", () => {
  expect(read({})).toMatchObject({ retentionDays: 400, sumRetentionDays: 3_650, dailyPartitionsFromBytes: undefined });
  expect(read({ ROUTEPLANE_RETENTION_DAYS: "5000" })).toMatchObject({ retentionDays: 5_000, sumRetentionDays: 5_000 });
  expect(() => read({ ROUTEPLANE_ROLLUP_RETENTION_DAYS: "399" })).toThrow("ROUTEPLANE_ROLLUP_RETENTION_DAYS");
  expect(read({ ROUTEPLANE_RETENTION_DAYS: "30", ROUTEPLANE_ROLLUP_RETENTION_DAYS: "30" })).toMatchObject({
    sumRetentionDays: 30,
  });
  expect(read({ ROUTEPLANE_DAILY_PARTITIONS_FROM_GIB: "50" }).dailyPartitionsFromBytes).toBe(50 * 2 ** 30);
});
