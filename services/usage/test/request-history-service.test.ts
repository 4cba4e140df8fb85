import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { RequestHistoryService, RequestStatus } from "@routeplane/contracts/usage";
import { DomainError, newId } from "@routeplane/domain";
import { openDatabase } from "@routeplane/postgres";
import { toTimestamp } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { cloneDatabase, SERVING } from "@routeplane/testing";
import { afterAll, expect, it } from "vitest";
import { onSlices, pendingRequest, requestIds, settledRequest } from "./requests.ts";
import { wireUsage } from "../src/app.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import type { LoggedRequest } from "../src/domain/request.ts";
import { createLogPositionMarks } from "../src/store/log-position.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";

const clone = await cloneDatabase();
const open = (url: string) => openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
const [database, aggregator] = [open(clone.url("routeplane_usage")), open(clone.url("routeplane_aggregator"))];
afterAll(async () => {
  await Promise.all([database.stop(), aggregator.stop()]);
  await clone.drop();
});

const { routes, interceptors } = wireUsage({
  ...SERVING,
  serviceCredentials: { callerOf: (token) => (token === "rps_test" ? "policy" : undefined) },
  database,
  verifyToken: async () => {
    throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "unknown key");
  },
  log: createLogger("test", () => "", "silent"),
  clock: Date.now,
});
const client = createClient(RequestHistoryService, createRouterTransport(routes, { router: { interceptors } }));
const headers = { authorization: "Bearer rps_test" };

const DAY = { from: new Date("2026-11-20T00:00:00Z"), to: new Date("2026-11-21T00:00:00Z") };
const range = { from: toTimestamp(DAY.from), to: toTimestamp(DAY.to) };

async function record(...requests: readonly LoggedRequest[]): Promise<void> {
  await createRequestLog(aggregator).record(deduplicate(requests));
}

it("lists every request of the namespace in the range except denied ones, newest first, page by page", async () => {
  const namespaceId = newId("ns");
  const at = (createdAt: Date, id = newId("req")) => settledRequest(pendingRequest({ namespaceId, id, createdAt }));
  const ids = requestIds(5);
  const first = at(DAY.from);
  const denied = { ...at(new Date("2026-11-20T11:00:00Z")), status: "denied" as const, costNanoUsd: 0n };
  const outside = [at(new Date(DAY.from.getTime() - 1)), at(DAY.to)];
  const inside = ids.map((id) => at(new Date("2026-11-20T10:00:00Z"), id));
  await record(first, denied, ...outside, ...inside, settledRequest(pendingRequest()));
  const listed: string[] = [];
  let pageToken = "";
  do {
    const page = await client.listRequestHistory({ namespaceId, ...range, pageSize: 2, pageToken }, { headers });
    expect(page.requests.length).toBeLessThanOrEqual(2);
    listed.push(...page.requests.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(listed).toEqual([...ids.toReversed(), first.id]);
  const unknown = await client.listRequestHistory({ namespaceId: newId("ns"), ...range }, { headers });
  expect(unknown.requests).toEqual([]);
});

it("accepts only services of the node, and refuses a range without ends", async () => {
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => "none",
      (error: unknown) => ConnectError.from(error).code,
    );
  const request = { namespaceId: newId("ns"), ...range };
  expect(await codeOf(client.listRequestHistory(request))).toBe(Code.Unauthenticated);
  const { namespaceId } = request;
  expect(await codeOf(client.listRequestHistory({ namespaceId }, { headers }))).toBe(Code.InvalidArgument);
  expect(await codeOf(client.listRequestHistory({ ...request, namespaceId: "ns_x" }, { headers }))).toBe(Code.NotFound);
});

it("lists the requests of a gateway session in the range, with the fields that are needed to charge them, page by page", async () => {
  const namespaceId = newId("ns");
  const slices = onSlices();
  const at = (createdAt: Date, given: Partial<LoggedRequest> = {}) =>
    pendingRequest({ namespaceId, createdAt, slices, ...given });
  const inside = new Date("2026-11-20T10:00:00Z");
  const running = at(inside);
  const settled = settledRequest(at(new Date(inside.getTime() + 1), { slices: { ...slices, countedAt: undefined } }));
  const others = [
    at(inside, { slices: undefined }),
    at(inside, { slices: onSlices() }),
    at(inside, { namespaceId: newId("ns") }),
    at(DAY.to),
  ];
  // A settlement that comes first, and an admission after it, make the same row.
  await record(running, ...others, settled);
  await record(at(settled.createdAt, { id: settled.id, keyId: settled.keyId }));
  const list = (pageToken: string) =>
    client.listSessionRequests(
      { namespaceId, sessionId: slices.sessionId, ...range, pageSize: 1, pageToken },
      { headers },
    );
  const first = await list("");
  const second = await list(first.nextPageToken);
  expect([first.requests.length, second.requests.length, second.nextPageToken]).toEqual([1, 1, ""]);
  expect(first.requests[0]).toMatchObject({
    requestId: settled.id,
    keyId: settled.keyId,
    limitSet: slices.limitSet,
    tokensMax: slices.tokensMax,
    status: RequestStatus.SUCCEEDED,
    reservedNanoUsd: settled.reservedNanoUsd,
    costNanoUsd: settled.costNanoUsd,
    tokens: settled.promptTokens + settled.completionTokens,
  });
  expect([first.requests[0]?.countedAt, first.requests[0]?.expiresAt]).toEqual([undefined, undefined]);
  expect(second.requests[0]).toMatchObject({
    requestId: running.id,
    status: RequestStatus.PENDING,
    costNanoUsd: 0n,
    countedAt: toTimestamp(slices.countedAt ?? DAY.from),
    expiresAt: toTimestamp(running.expiresAt ?? DAY.from),
  });
});

it("reports the position of the log by transactions, and no position of another cluster", async () => {
  const marks = createLogPositionMarks(aggregator);
  const before = await client.getLogPosition({}, { headers });
  expect([before.consumed, before.consumedUntil]).toEqual([0n, undefined]);
  const begunLater = await marks.begin();
  await marks.end(begunLater);
  const after = await client.getLogPosition({}, { headers });
  expect(after.consumed).toBeGreaterThanOrEqual(before.now);
  expect(after.consumed).toBeLessThan(after.now);
  expect(after.consumedUntil).toEqual(toTimestamp(begunLater.consumedUntil ?? DAY.from));
  // A mark that began before a call is below the position of that call, whenever it ends.
  const begunBefore = await marks.begin();
  const question = await client.getLogPosition({}, { headers });
  await marks.end(begunBefore);
  expect((await client.getLogPosition({}, { headers })).consumed).toBeLessThan(question.now);
  // A database that was restored from a dump counts its transactions from the beginning.
  await marks.end({ consumed: 2n ** 60n, consumedUntil: new Date() });
  const restored = await client.getLogPosition({}, { headers });
  expect([restored.consumed, restored.consumedUntil]).toEqual([0n, undefined]);
});
