import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Id, newId } from "@routeplane/domain";
import {
  DEFAULT_STREAM_SETTINGS,
  type EventPublisher,
  openPublisher,
  parseNatsUrl,
  toUsageRecord,
} from "@routeplane/events";
import { createLogger } from "@routeplane/runtime";
import type pg from "pg";
import type { LoggedRequest } from "../../services/usage/src/domain/request.ts";
import { onSlices, pendingRequest, settledRequest, usageEvent } from "../../services/usage/test/requests.ts";
import type { UsageServers } from "./usage-servers.ts";

/** Usage events of settled requests as a gateway publishes them: `KEYS` keys of one namespace call `MODELS` models each. */

const KEYS = 100;
const MODELS = 5;

/** Gateway session on whose slices all of them are admitted. */
const sessionId = newId("gws");

const keys = Array.from({ length: KEYS }, () => newId("key"));

export function makeRequests(count: number, namespaceId: Id<"ns">): LoggedRequest[] {
  return Array.from({ length: count }, () => {
    const key = Math.floor(Math.random() * KEYS);
    const model = Math.floor(Math.random() * MODELS);
    const facts = { namespaceId, keyId: keys[key] ?? newId("key"), model: `model-${model}`, provider: "bench" };
    const settled = settledRequest(
      pendingRequest({ ...facts, createdAt: new Date(), slices: onSlices({ sessionId }) }),
    );
    const totalMs = Math.round(1_500 * spread());
    const timeToFirstTokenMs = Math.min(totalMs, Math.round(250 * spread()));
    // Without a guardrail, as most requests.
    const receipt = { ...settled.receipt, guardrailDecisions: [], timeToFirstTokenMs };
    return { ...settled, completedAt: new Date(settled.createdAt.getTime() + totalMs), receipt };
  });
}

/** Random factor of a latency: log-normal, nearly always between 1/20 and 20. */
function spread(): number {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return Math.exp(normal);
}

/** Admission event of a request that has been settled since. */
export function admissionOf(request: LoggedRequest): LoggedRequest {
  const { namespaceId, id, keyId, createdAt, model, provider, slices } = request;
  return pendingRequest({ namespaceId, id, keyId, createdAt, model, provider, slices });
}

/** Creates a publisher with a spool, like that of a gateway. */
export function openBenchPublisher({ natsUrl, folder }: UsageServers): EventPublisher {
  const nats = parseNatsUrl(natsUrl);
  if (nats === undefined) throw new Error("unreachable: the bench server's URL is well-formed");
  const stream = { settings: DEFAULT_STREAM_SETTINGS, installation: async () => undefined };
  const log = createLogger("bench", () => "");
  return openPublisher({ nats, ...stream, log, name: "bench", folder: join(folder, "spool") });
}

const AT_ONCE = 5_000;

/** Resolves once NATS has acknowledged everything. */
export async function publish(publisher: EventPublisher, requests: readonly LoggedRequest[]): Promise<void> {
  for (let first = 0; first < requests.length; first += AT_ONCE) {
    const recorded = requests
      .slice(first, first + AT_ONCE)
      .map((request) => publisher.record(toUsageRecord(usageEvent(request))));
    await Promise.all(recorded.map((event) => event.committed()));
  }
}

const POLL_MS = 50;

/** Resolves once the sums contain `count` requests of a status. Reads the sums, because they are few rows. */
export async function untilSummed(postgres: pg.Client, status: string, count: number): Promise<void> {
  for (;;) {
    const { rows } = await postgres.query<{ sum: string | null }>(
      "select sum(request_count) from usage.rollups_daily where status = $1",
      [status],
    );
    if (Number(rows[0]?.sum ?? 0) >= count) return;
    await delay(POLL_MS);
  }
}
