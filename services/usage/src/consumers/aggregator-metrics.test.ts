import { expect, test } from "vitest";
import { pendingRequest, settledRequest, usageEvent } from "../../test/requests.ts";
import { AggregatorMetrics } from "./aggregator-metrics.ts";

test("counts settlements of more than twice their reservation once they are committed", async () => {
  const metrics = new AggregatorMetrics();
  const overruns = async () => {
    const read = await metrics.read({ lag: async () => undefined }, { countHeld: async () => 0n });
    return read.find(({ name }) => name === "routeplane_aggregator_overruns_total")?.value;
  };
  const reserved = pendingRequest({ reservedNanoUsd: 3_000_000n });
  const settled = [3_000_000n, 6_000_000n, 6_001_000n, 1_000_010_000n].map((costNanoUsd) =>
    usageEvent(settledRequest(reserved, { costNanoUsd })),
  );
  const events = [usageEvent(reserved), ...settled];
  await expect(metrics.counting(() => Promise.reject(new Error("down")))(events)).rejects.toThrow("down");
  expect(await overruns()).toBe(0);
  await metrics.counting(async () => {})(events);
  expect(await overruns()).toBe(2);
});
