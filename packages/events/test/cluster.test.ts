import { setTimeout as delay } from "node:timers/promises";
import { eventually, startNatsCluster, type TestNatsCluster } from "@routeplane/testing";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { kitOn, STREAM, usageEvent } from "./kit.ts";

/** Number of servers killed: 3 in every run, 20 with `npm run faults`. */
const LOSSES = process.env["ROUTEPLANE_FAULTS"] === "full" ? 20 : 3;

vi.setConfig({ testTimeout: 60_000 + LOSSES * 20_000, hookTimeout: 60_000 });

let cluster: TestNatsCluster;
let kit: Awaited<ReturnType<typeof kitOn>>;

beforeEach(async () => {
  cluster = await startNatsCluster();
  kit = await kitOn(cluster);
});

afterEach(() => kit.remove());

test("a cluster that loses any one of its three servers, again and again, loses no committed event", async () => {
  const { publish, isReachable } = kit.publisher();
  const { distinct, seen, consumer } = kit.collector();
  await eventually(async () => (await isReachable()) && (await consumer.isReachable()), 30_000);
  const connection = await kit.connectRaw();
  const { config } = await (await connection.jetstreamManager()).streams.info(STREAM);
  expect(config.num_replicas).toBe(3);
  await connection.close();

  const committed: string[] = [];
  const state = { loading: true };
  const load = (async () => {
    for (let count = 0; state.loading; count++) {
      const ids = Array.from({ length: 20 }, (_, index) => `${count}-${index}`);
      await Promise.all(ids.map((id) => publish(usageEvent(id))));
      committed.push(...ids);
      await delay(1);
    }
  })();
  for (let loss = 0; loss < LOSSES; loss++) {
    const before = committed.length;
    await delay(Math.random() * 300);
    await cluster.kill(loss % 3);
    // Two servers go on: events that are published meanwhile also arrive meanwhile.
    await eventually(() => committed.length > before + 100);
    const last = committed.at(-1) ?? "";
    await eventually(() => seen.includes(last));
    await cluster.start(loss % 3);
  }
  state.loading = false;
  await load;
  await eventually(() => distinct().length === committed.length, 30_000);
  expect(distinct()).toEqual(committed.toSorted());
});
