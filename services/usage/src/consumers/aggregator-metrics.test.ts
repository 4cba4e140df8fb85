import { counter } from "@routeplane/runtime";
import { expect, test } from "vitest";
import { pendingRequest, settledRequest, usageEvent } from "../../test/requests.ts";
import { countEvents } from "./aggregator-metrics.ts";

test("counts settlements of more than twice their reservation once they are committed", async () => {
  const overruns = async () => {
    const { values } = await counter({ name: "routeplane_aggregator_overruns_total", help: "" }).get();
    return values[0]?.value;
  };
  const reserved = pendingRequest({ reservedNanoUsd: 3_000_000n });
  const settled = [3_000_000n, 6_000_000n, 6_001_000n, 1_000_010_000n].map((costNanoUsd) =>
    usageEvent(settledRequest(reserved, { costNanoUsd })),
  );
  const events = [usageEvent(reserved), ...settled];
  await expect(countEvents(() => Promise.reject(new Error("down")))(events)).rejects.toThrow("down");
  expect(await overruns()).toBe(0);
  await countEvents(async () => {})(events);
  expect(await overruns()).toBe(2);
});
