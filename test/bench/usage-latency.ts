import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Id, newId, parseId } from "@routeplane/domain";
import {
  DEFAULT_STREAM_SETTINGS,
  type EventPublisher,
  openPublisher,
  parseNatsUrl,
  toUsageRecord,
} from "@routeplane/events";
import { createLogger } from "@routeplane/runtime";
import type { LoggedRequest } from "../../services/usage/src/domain/request.ts";
import { usageEvent } from "../../services/usage/test/requests.ts";
import { startNode, type TestNode } from "../harness/node.ts";
import { load, printTimes } from "./times.ts";
import { makeRequests } from "./usage-load.ts";

/**
 * Measures the latency from the moment a gateway records that a request is settled until the query API of a running node returns
 * it, at RATE events per second (1,000 by default) for SECONDS. One in `SAMPLE_EVERY` is polled: by its id, in the log, and in the
 * sums of a model of its own, through the node's public address. The time of one query is part of the latency.
 */

const RATE = Number(process.env["RATE"] ?? 1_000);
const SECONDS = Number(process.env["SECONDS"] ?? 60);
/** Seconds of warm-up without samples: the publisher connects, and every process compiles its hot code. */
const WARM_UP_SECONDS = 10;
const SAMPLE_EVERY = 100;
const TICK_MS = 10;
const POLL_MS = 5;
type Answer = { requests?: readonly { id: string }[]; requestCount?: string };

async function main(): Promise<void> {
  const node = await startNode();
  try {
    const publisher = await openNodePublisher(node);
    try {
      await measure(node, publisher);
    } finally {
      await publisher.stop();
    }
  } finally {
    await node.remove();
  }
}

async function measure(node: TestNode, publisher: EventPublisher): Promise<void> {
  const namespaceId = await namespaceOf(node);
  const key = await node.apiKey();
  const times = { request: [] as number[], page: [] as number[], usage: [] as number[] };
  const kinds = Object.keys(times) as (keyof typeof times)[];
  const polls: Promise<void>[] = [];
  const began = performance.now();
  let sent = 0;
  while (performance.now() - began < SECONDS * 1_000) {
    const due = Math.floor(((performance.now() - began) / 1_000) * RATE);
    for (const request of makeRequests(due - sent, namespaceId)) {
      const nth = sent++;
      const isSample = nth % SAMPLE_EVERY === 0 && nth >= WARM_UP_SECONDS * RATE;
      const published = isSample ? { ...request, model: `sample-${nth}` } : request;
      publisher.record(toUsageRecord(usageEvent(published)));
      if (!isSample) continue;
      const recorded = performance.now();
      const kind = kinds[(nth / SAMPLE_EVERY) % kinds.length] ?? "request";
      polls.push(
        untilVisible(node, key, kind, published).then(() => void times[kind].push(performance.now() - recorded)),
      );
    }
    await delay(TICK_MS);
  }
  const seconds = (performance.now() - began) / 1_000;
  await Promise.all(polls);
  process.stdout.write(`${(sent / seconds).toFixed(0)} events/s for ${seconds.toFixed(0)} s, ${load()}\n`);
  printTimes("by its id", times.request);
  printTimes("in the log", times.page);
  printTimes("in the sums", times.usage);
  printTimes("all of them", Object.values(times).flat());
}

const QUERIES = {
  request: ({ id }: LoggedRequest) => ({ method: "GetRequest", body: { id } }),
  page: ({ model }: LoggedRequest) => ({ method: "ListRequests", body: { filter: { model } } }),
  usage: ({ model }: LoggedRequest) => ({ method: "GetUsage", body: { model } }),
} as const;

async function untilVisible(
  node: TestNode,
  key: string,
  kind: keyof typeof QUERIES,
  request: LoggedRequest,
): Promise<void> {
  const { method, body } = QUERIES[kind](request);
  for (;;) {
    const response = await fetch(`${node.url}/routeplane.usage.v1.UsageService/${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as Answer;
    if (![200, 404].includes(response.status))
      throw new Error(`${method}: ${response.status} ${JSON.stringify(answer)}`);
    if (kind === "request" && response.status === 200) return;
    if (kind === "page" && answer.requests?.some(({ id }) => id === request.id)) return;
    if (kind === "usage" && Number(answer.requestCount ?? 0) > 0) return;
    await delay(POLL_MS);
  }
}

async function namespaceOf(node: TestNode): Promise<Id<"ns">> {
  const { stdout } = await node.cli(["cloud", "whoami", "--json"]);
  const id = parseId("ns", (JSON.parse(stdout) as { namespace: { id: string } }).namespace.id);
  if (id === undefined) throw new Error("unreachable: a key has a namespace");
  return id;
}

/** Creates a publisher like that of another gateway of the node. */
async function openNodePublisher(node: TestNode): Promise<EventPublisher> {
  const settings = await readFile(join(node.home, "nats/nats.conf"), "utf8");
  const [, port] = /^port: (\d+)/m.exec(settings) ?? [];
  const [, password = ""] = /password: "([^"]+)"/.exec(settings) ?? [];
  const nats = parseNatsUrl(`nats://routeplane:${encodeURIComponent(password)}@127.0.0.1:${port}`);
  if (nats === undefined) throw new Error("unreachable: a node's broker has an address");
  const folder = join(node.home, `spool/bench-${newId("req")}`);
  const stream = { settings: DEFAULT_STREAM_SETTINGS, installation: async () => undefined };
  return openPublisher({ nats, ...stream, log: createLogger("bench", () => ""), name: "bench", folder });
}

await main();
