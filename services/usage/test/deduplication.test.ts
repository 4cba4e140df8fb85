import { isDeepStrictEqual } from "node:util";
import { type Id, newId } from "@routeplane/domain";
import { type Database, openDatabase } from "@routeplane/postgres";
import { cloneDatabase, type TestDatabase } from "@routeplane/testing";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rowsIn, totalsIn } from "./queries.ts";
import { pendingRequest, settledRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import type { LoggedRequest, RequestStatus } from "../src/domain/request.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";
import { createUsageStore } from "../src/store/usage-store.ts";

let clone: TestDatabase;
let query: Database<UsageSchema>;
let aggregator: Database<UsageSchema>;

beforeAll(async () => {
  clone = await cloneDatabase();
  query = open(clone.url("routeplane_usage"));
  aggregator = open(clone.url("routeplane_aggregator"));
});

afterAll(async () => {
  await Promise.all([query.stop(), aggregator.stop()]);
  await clone.drop();
});

function open(url: string): Database<UsageSchema> {
  return openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
}

const REQUESTS = 2_000;
const ROUNDS = 3;

interface Drawn {
  readonly status: RequestStatus;
  readonly estimated: boolean;
  readonly cost: number;
  readonly seconds: number;
  readonly prompt: number;
  readonly completion: number;
}

/** Arbitrary observation. Each field has few values, so that two observations of one request are often equal in the deciding fields. */
const drawnObservation: fc.Arbitrary<Drawn> = fc.record({
  status: fc.constantFrom<RequestStatus>("pending", "unknown", "succeeded", "failed", "cancelled", "denied"),
  estimated: fc.boolean(),
  cost: fc.nat(2),
  seconds: fc.nat(1),
  prompt: fc.nat(1),
  completion: fc.nat(1),
});

/** Makes an observation of a request. Its HTTP status, model and prices, which decide nothing, identify it. */
function observation(request: LoggedRequest, drawn: Drawn, index: number): LoggedRequest {
  if (drawn.status === "pending") return { ...request, httpStatus: index };
  return settledRequest(request, {
    status: drawn.status,
    estimated: drawn.estimated,
    costNanoUsd: BigInt(drawn.cost) * 1_000n,
    completedAt: new Date(request.createdAt.getTime() + drawn.seconds * 1_000),
    promptTokens: BigInt(drawn.prompt),
    completionTokens: BigInt(drawn.completion),
    httpStatus: index,
    model: `answering-${index}`,
    provider: `answering-${index}`,
    receipt: {
      ...request.receipt,
      price: { version: `file:${index}`, inputPicoUsd: BigInt(index), outputPicoUsd: BigInt(index) },
    },
  });
}

test("the statement keeps the same observation between batches as `deduplicate` within a batch", async () => {
  const namespaceId = newId("ns");
  const log = createRequestLog(aggregator);
  const samples = fc.sample(fc.array(drawnObservation, { minLength: ROUNDS, maxLength: ROUNDS }), REQUESTS);
  const requests = samples.map((sample) => {
    const request = pendingRequest({ namespaceId });
    return sample.map((drawn, index) => observation(request, drawn, index));
  });
  // The last two observations of every other request are in one batch.
  const rounds = [[0], [1], [2]].map((round, index) =>
    requests.flatMap((each, which) => {
      const together = which % 2 === 0 ? round : ([[0], [1, 2], []][index] ?? []);
      return together.flatMap((at) => each[at] ?? []);
    }),
  );
  for (const round of rounds) await log.record(deduplicate(round));
  const expected = deduplicate(requests.flat());
  expect(expected).toHaveLength(REQUESTS);
  const rows = await rowsOf(namespaceId);
  expect(expected.filter((each) => !isDeepStrictEqual(rows.get(each.id), each))).toEqual([]);
  const counted = expected.filter(({ status }) => status !== "denied");
  expect(await totalsIn(createUsageStore(query), namespaceId)).toMatchObject({
    requestCount: BigInt(counted.length),
    costNanoUsd: counted.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0n),
  });
});

async function rowsOf(namespaceId: Id<"ns">): Promise<ReadonlyMap<string, LoggedRequest>> {
  const rows = await rowsIn(query, namespaceId);
  return new Map(rows.map((row) => [row.id, row]));
}
