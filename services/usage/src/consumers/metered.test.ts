import { expect, test } from "vitest";
import { pendingRequest, settledRequest, usageEvent } from "../../test/requests.ts";
import { Tally } from "./metered.ts";

test("settlements of more than twice their reservation are counted, once they are committed", async () => {
  const tally = new Tally();
  const overruns = async () => {
    const metrics = await tally.metrics({ lag: async () => undefined }, { held: async () => 0n });
    return metrics.find(({ name }) => name === "routeplane_aggregator_overruns_total")?.value;
  };
  const reserved = pendingRequest({ reservedNanoUsd: 3_000_000n });
  const settled = [3_000_000n, 6_000_000n, 6_001_000n, 1_000_010_000n].map((costNanoUsd) =>
    usageEvent(settledRequest(reserved, { costNanoUsd })),
  );
  const events = [usageEvent(reserved), ...settled];
  await expect(tally.metered(() => Promise.reject(new Error("down")))(events)).rejects.toThrow("down");
  expect(await overruns()).toBe(0);
  await tally.metered(async () => {})(events);
  expect(await overruns()).toBe(2);
});
