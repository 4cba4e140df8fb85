import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Transport,
} from "@connectrpc/connect";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "@routeplane/contracts/health";
import { RequestStatus, UsageDimension, UsageService } from "@routeplane/contracts/usage";
import { ALL_OPERATOR_SCOPES } from "@routeplane/credentials";
import { DomainError, type Id, newId } from "@routeplane/domain";
import { type Database, openDatabase } from "@routeplane/postgres";
import { toPageToken, toTimestamp, type VerifyToken } from "@routeplane/rpc";
import { createLogger, Dependencies } from "@routeplane/runtime";
import { cloneDatabase, SERVING, type TestDatabase } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pendingRequest, requestIds, settledRequest } from "./requests.ts";
import { wireUsage } from "../src/app.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";

const NOW = new Date("2026-11-20T12:00:00Z");
const namespaceId = newId("ns");
const foreignNamespaceId = newId("ns");
const watchedNamespaceId = newId("ns");
const ids = requestIds(60);

let clone: TestDatabase;
let database: Database<UsageSchema>;
let transport: ReturnType<typeof createRouterTransport>;

beforeAll(async () => {
  clone = await cloneDatabase();
  const aggregator = open(clone.url("routeplane_aggregator"));
  const requests = ids.map((id) => settledRequest(pendingRequest({ namespaceId, id })));
  const foreign = settledRequest(pendingRequest({ namespaceId: foreignNamespaceId }));
  await createRequestLog(aggregator).record(deduplicate([...requests, foreign]));
  await aggregator.stop();
  database = open(clone.url("routeplane_usage"));
  transport = transportOver(database);
});

afterAll(async () => {
  await database.stop();
  await clone.drop();
});

function open(url: string): Database<UsageSchema> {
  return openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
}

/** Verifies tokens that name their namespace and scopes, in place of the auth service. */
const verifyToken: VerifyToken = async (token) => {
  const [namespace, ...scopes] = token.split("/");
  if (namespace === "operator") {
    const operatorId = newId("op");
    const scopes = [...ALL_OPERATOR_SCOPES];
    return { kind: "operator", operatorId, accountId: undefined, scopes, lineage: [operatorId], expiresAt: undefined };
  }
  if (!namespace?.startsWith("ns_")) throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "unknown key");
  const keyId = newId("key");
  const bound = { keyId, namespaceId: namespace as Id<"ns">, accountId: newId("acc"), lineage: [keyId] };
  return { kind: "key", ...bound, scopes, expiresAt: undefined };
};

function transportOver(over: Database<UsageSchema>) {
  const log = createLogger("test", () => "");
  const serviceCredentials = { callerOf: (token: string) => (token === "rps_test" ? ("policy" as const) : undefined) };
  const dependencies = new Dependencies([{ name: "postgres", isReachable: () => over.isReachable() }]);
  const wiring = {
    ...SERVING,
    dependencies,
    serviceCredentials,
    database: over,
    verifyToken,
    log,
    clock: () => NOW.getTime(),
  };
  const { routes, interceptors } = wireUsage(wiring);
  return createRouterTransport(routes, { router: { interceptors } });
}

function as(token: string | undefined, over = transport): Client<typeof UsageService> {
  const client = createClient(UsageService, over);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return {
    getUsage: (request, options) => client.getUsage(request, { headers, ...options }),
    watchRequests: (request, options) => client.watchRequests(request, { headers, ...options }),
    getRequest: (request, options) => client.getRequest(request, { headers, ...options }),
    listRequests: (request, options) => client.listRequests(request, { headers, ...options }),
  };
}

const reader = `${namespaceId}/usage:read`;

async function errorOf(call: Promise<unknown>) {
  const error = ConnectError.from(
    await call.then(
      () => new Error("it succeeded"),
      (reason: unknown) => reason,
    ),
  );
  const [info] = error.findDetails(ErrorInfoSchema);
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return {
    code: Code[error.code],
    reason: info?.reason,
    metadata: info?.metadata,
    fields: violations.map(({ field, description }) => `${field}: ${description}`),
  };
}

describe("GetUsage", () => {
  test("sums the caller's namespace over the last 30 days, in micro-USD", async () => {
    expect(await as(reader).getUsage({})).toMatchObject({
      from: toTimestamp(new Date("2026-10-21T12:00:00Z")),
      to: toTimestamp(NOW),
      requestCount: 60n,
      promptTokens: 720n,
      completionTokens: 2040n,
      spendMicroUsd: 60n * 1234n,
    });
  });

  test("refuses from after to, naming the field", async () => {
    const range = { from: toTimestamp(NOW), to: toTimestamp(new Date(NOW.getTime() - 1)) };
    expect(await errorOf(as(reader).getUsage(range))).toMatchObject({
      code: "InvalidArgument",
      reason: "FIELD_INVALID",
      fields: ["from: must be before to"],
    });
  });

  test("refuses an invalid time, naming the field", async () => {
    const beyond = { from: { seconds: 2n ** 60n, nanos: 0 } };
    expect(await errorOf(as(reader).getUsage(beyond))).toMatchObject({
      code: "InvalidArgument",
      fields: [expect.stringMatching(/^from: /)],
    });
  });
});

describe("ListRequests", () => {
  test("pages newest first, 25 at a time by default, every row once", async () => {
    const pages: string[][] = [];
    let pageToken = "";
    do {
      const page = await as(reader).listRequests({ pageToken });
      pages.push(page.requests.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(pages.map(({ length }) => length)).toEqual([25, 25, 10]);
    expect(pages.flat()).toEqual(ids.toReversed());
  });

  test("a full last page says that it is the last", async () => {
    expect((await as(reader).listRequests({ pageSize: 60 })).nextPageToken).toBe("");
  });

  test("a row has all fields of its events", async () => {
    const { requests } = await as(reader).listRequests({ pageSize: 1 });
    expect(requests).toMatchObject([
      {
        id: ids.at(-1),
        status: RequestStatus.SUCCEEDED,
        endpoint: "/v1/chat/completions",
        model: "echo",
        promptTokens: 12n,
        completionTokens: 34n,
        costMicroUsd: 1234n,
        reservedMicroUsd: 5000n,
        httpStatus: 200,
        createdAt: toTimestamp(new Date("2026-11-20T10:00:00.123Z")),
        completedAt: toTimestamp(new Date("2026-11-20T10:00:01.623Z")),
      },
    ]);
  });

  test("a page token carries no authority: the rows are those of the caller's namespace", async () => {
    const { requests } = await as(`${foreignNamespaceId}/usage:read`).listRequests({
      pageToken: toPageToken("requests", `${NOW.getTime()}.${ids[0]}`),
    });
    expect(requests).toHaveLength(1);
    expect(ids).not.toContain(requests[0]?.id);
  });

  test.each([
    ["rubbish", "!!!"],
    ["of another list", toPageToken("keys", ids[0]!)],
    ["of an id of another kind", toPageToken("requests", `1.${newId("key")}`)],
    ["of a row without its time", toPageToken("requests", newId("req"))],
  ])("refuses a page token that is %s", async (_, pageToken) => {
    expect(await errorOf(as(reader).listRequests({ pageToken }))).toMatchObject({
      code: "InvalidArgument",
      fields: [expect.stringMatching(/^page_token: /)],
    });
  });

  test.each([-1, 1_001])("refuses a page size of %d", async (pageSize) => {
    expect(await errorOf(as(reader).listRequests({ pageSize }))).toMatchObject({
      code: "InvalidArgument",
      fields: [expect.stringMatching(/^page_size: /)],
    });
  });
});

describe("GetUsage by groups", () => {
  test("groups by the dimensions of the request, and the groups add up to the totals", async () => {
    const { groups, requestCount, spendMicroUsd } = await as(reader).getUsage({
      groupBy: [UsageDimension.MODEL, UsageDimension.STATUS, UsageDimension.DAY],
    });
    const day = toTimestamp(new Date("2026-11-20T00:00:00Z"));
    const alike = { model: "echo", status: RequestStatus.SUCCEEDED, day, keyId: "", provider: "" };
    expect(groups).toMatchObject([{ ...alike, requestCount, spendMicroUsd }]);
    expect(groups[0]?.hour).toBeUndefined();
  });

  test("has the days of a time zone, and refuses an unknown time zone, naming the field", async () => {
    const groupBy = [UsageDimension.DAY];
    const startOf = async (timeZone: string) => {
      const { groups } = await as(reader).getUsage({ groupBy, timeZone });
      return groups.map(({ day, requestCount }) => [day && timestampDate(day).toISOString(), requestCount]);
    };
    // Requests of 10:00 in UTC.
    expect(await startOf("")).toEqual([["2026-11-20T00:00:00.000Z", 60n]]);
    expect(await startOf("Asia/Kolkata")).toEqual([["2026-11-19T18:30:00.000Z", 60n]]);
    expect(await startOf("Pacific/Auckland")).toEqual([["2026-11-19T11:00:00.000Z", 60n]]);
    expect(await startOf("Pacific/Kiritimati")).toEqual([["2026-11-20T10:00:00.000Z", 60n]]);
    const fieldsOf = async (timeZone: string) => (await errorOf(as(reader).getUsage({ timeZone }))).fields;
    expect(await fieldsOf("Mars/Base")).toEqual(["time_zone: must be the name of a time zone, e.g. Europe/Berlin"]);
    expect(await fieldsOf("a".repeat(65))).toEqual([expect.stringMatching(/^time_zone: /)]);
  });

  test("has latencies on request: in total, and by the dimensions for which they are kept", async () => {
    // Requests of 1,500 ms with their first output after 250 ms.
    const totalLatency = { requestCount: 60n, p50Ms: 1_466n, p95Ms: 1_466n, p99Ms: 1_466n };
    const firstTokenLatency = { requestCount: 60n, p50Ms: 240n, p95Ms: 240n, p99Ms: 240n };
    const answer = await as(reader).getUsage({ latency: true, groupBy: [UsageDimension.MODEL, UsageDimension.DAY] });
    expect(answer).toMatchObject({ totalLatency, firstTokenLatency });
    expect(answer.groups).toMatchObject([{ model: "echo", totalLatency, firstTokenLatency }]);
    const unasked = await as(reader).getUsage({ groupBy: [UsageDimension.MODEL] });
    const byKey = await as(reader).getUsage({ latency: true, groupBy: [UsageDimension.KEY] });
    for (const { totalLatency: none, groups, requestCount } of [unasked, byKey]) {
      expect([none, groups[0]?.totalLatency, requestCount]).toEqual([undefined, undefined, 60n]);
    }
  });

  test("has no groups by default, and none of a key of another namespace", async () => {
    expect((await as(reader).getUsage({})).groups).toEqual([]);
    const foreign = await as(reader).getUsage({ keyId: newId("key"), groupBy: [UsageDimension.KEY] });
    expect(foreign).toMatchObject({ requestCount: 0n, groups: [] });
  });

  test.each([[[UsageDimension.UNSPECIFIED]], [[UsageDimension.KEY, UsageDimension.KEY]]])(
    "refuses to group by %j, naming the field",
    async (groupBy) => {
      expect(await errorOf(as(reader).getUsage({ groupBy }))).toMatchObject({
        code: "InvalidArgument",
        fields: [expect.stringMatching(/^group_by/)],
      });
    },
  );

  test("refuses more than 10,000 groups", async () => {
    const crowded = newId("ns");
    const aggregator = open(clone.url("routeplane_aggregator"));
    const requests = Array.from({ length: 10_001 }, () => pendingRequest({ namespaceId: crowded }));
    for (let at = 0; at < requests.length; at += 2_500) {
      await createRequestLog(aggregator).record(deduplicate(requests.slice(at, at + 2_500)));
    }
    await aggregator.stop();
    const range = { from: toTimestamp(new Date("2026-11-20T00:00:00Z")) };
    const all = as(`${crowded}/usage:read`).getUsage({ ...range, groupBy: [UsageDimension.KEY] });
    expect(await errorOf(all)).toMatchObject({ fields: [expect.stringMatching(/^group_by: .*10000/)] });
    expect((await as(`${crowded}/usage:read`).getUsage(range)).requestCount).toBe(10_001n);
    const groupBy = [UsageDimension.KEY, UsageDimension.HOUR];
    const { groups } = await as(`${crowded}/usage:read`).getUsage({ ...range, groupBy, largest: 8 });
    expect(groups.map(({ restCount }) => restCount)).toEqual([...Array.from({ length: 8 }, () => 0n), 9_993n]);
    expect(groups.at(-1)).toMatchObject({ keyId: "", requestCount: 9_993n });
  });

  test.each([
    [{ groupBy: [UsageDimension.DAY, UsageDimension.HOUR], largest: 1 }, /^largest: .*neither hour nor day$/],
    [{ largest: 1 }, /^largest: .*neither hour nor day$/],
    [{ groupBy: [UsageDimension.KEY], largest: -1 }, /^largest: /],
    [{ groupBy: [UsageDimension.KEY], largest: 1_001 }, /^largest: /],
    [{ groupBy: [UsageDimension.KEY], largest: 1, largestBy: 99 }, /^largest_by: /],
  ])("refuses %j, naming the field", async (request, field) => {
    expect(await errorOf(as(reader).getUsage(request))).toMatchObject({
      code: "InvalidArgument",
      fields: [expect.stringMatching(field)],
    });
  });
});

describe("GetRequest", () => {
  test("returns the row that the list has, and its receipt", async () => {
    const { requests } = await as(reader).listRequests({ pageSize: 1 });
    const { request, receipt } = await as(reader).getRequest({ id: ids.at(-1)! });
    expect(request).toEqual(requests[0]);
    const price = { version: "catalogue:0123456789ab", inputPicoUsd: 150_000n, outputPicoUsd: 600_000n };
    expect(receipt).toMatchObject({ price, reasoningTokens: 21n, upstreamMs: 1_400, totalMs: 1_500n });
    expect(receipt?.guardrailDecisions).toMatchObject([{ pattern: "ssn", bindingId: "bnd_g", requestRedactions: 2 }]);
    expect(receipt?.attempts).toMatchObject([
      { status: 429, errorCode: "rate_limit_exceeded", startedMs: 4, durationMs: 30 },
      { status: 200, errorCode: "", startedMs: 40, durationMs: 1_360 },
    ]);
  });

  test.each([
    ["foreign", ids[0]!, foreignNamespaceId],
    ["unknown", newId("req"), namespaceId],
    ["malformed", "req_x", namespaceId],
  ])("answers for a %s id like for any other", async (_, id, caller) => {
    const answer = await errorOf(as(`${caller}/usage:read`).getRequest({ id }));
    expect(answer).toEqual({ code: "NotFound", reason: "RESOURCE_NOT_FOUND", metadata: {}, fields: [] });
  });
});

describe("WatchRequests", () => {
  test("ends after its life, resumes from its token, and refuses an invalid token", async () => {
    let resumeToken = "";
    for await (const message of as(reader).watchRequests({})) {
      resumeToken = message.resumeToken;
      break;
    }
    const aggregator = open(clone.url("routeplane_aggregator"));
    const ended = settledRequest(pendingRequest({ namespaceId: watchedNamespaceId }));
    await createRequestLog(aggregator).record([ended]);
    await aggregator.stop();
    const listed: string[] = [];
    for await (const { requests } of as(`${watchedNamespaceId}/usage:read`).watchRequests({ resumeToken })) {
      listed.push(...requests.map(({ id }) => id));
    }
    expect(listed).toEqual([ended.id]);
    const wrong = async () => {
      for await (const _ of as(reader).watchRequests({ resumeToken: "junk" }));
    };
    expect(await errorOf(wrong())).toMatchObject({
      code: "InvalidArgument",
      fields: ["resume_token: must be a resume_token of an earlier stream"],
    });
  });
});

describe("WatchRequests with a filter", () => {
  test.each([
    [{ status: RequestStatus.PENDING }, /^filter\.status: must be another one than PENDING/],
    [{ from: toTimestamp(NOW), to: toTimestamp(NOW) }, /^filter\.from: must be before filter\.to$/],
  ])("that fits no request that ends is refused before the stream begins: %o", async (filter, fault) => {
    const messages: unknown[] = [];
    const watch = async () => {
      for await (const message of as(reader).watchRequests({ filter })) messages.push(message);
    };
    expect(await errorOf(watch())).toMatchObject({ code: "InvalidArgument", fields: [expect.stringMatching(fault)] });
    expect(messages).toEqual([]);
  });
});

describe("ListRequests with a filter", () => {
  test("of an empty range is refused, because an empty log would look the same", async () => {
    const filter = { from: toTimestamp(NOW), to: toTimestamp(NOW) };
    expect(await errorOf(as(reader).listRequests({ filter }))).toMatchObject({
      code: "InvalidArgument",
      fields: ["filter.from: must be before filter.to"],
    });
  });

  test("pages through the requests that fit the filter", async () => {
    const filter = { status: RequestStatus.SUCCEEDED, model: "echo", to: toTimestamp(NOW) };
    const first = await as(reader).listRequests({ filter, pageSize: 40 });
    const second = await as(reader).listRequests({ filter, pageSize: 40, pageToken: first.nextPageToken });
    expect([...first.requests, ...second.requests].map(({ id }) => id)).toEqual(ids.toReversed());
    expect((await as(reader).listRequests({ filter: { status: RequestStatus.UNKNOWN } })).requests).toEqual([]);
    expect((await as(reader).listRequests({ filter: { keyId: newId("key") } })).requests).toEqual([]);
  });
});

describe("access", () => {
  const calls = [
    ["GetUsage", (token?: string) => as(token).getUsage({})],
    ["ListRequests", (token?: string) => as(token).listRequests({})],
    ["GetRequest", (token?: string) => as(token).getRequest({ id: ids[0]! })],
  ] as const;

  test.each(calls)("%s refuses callers without a credential or with a bad one", async (_, call) => {
    expect(await errorOf(call())).toMatchObject({ code: "Unauthenticated", reason: "CREDENTIAL_MISSING" });
    expect(await errorOf(call("junk"))).toMatchObject({ code: "Unauthenticated", reason: "CREDENTIAL_INVALID" });
  });

  test.each(calls)("%s refuses keys without the scope, operators and other services", async (_, call) => {
    const missing = { code: "PermissionDenied", reason: "SCOPE_MISSING", metadata: { scope: "usage:read" } };
    expect(await errorOf(call(`${namespaceId}/keys:*/inference:invoke`))).toMatchObject(missing);
    expect(await errorOf(call("operator"))).toMatchObject(missing);
    expect(await errorOf(call("rps_test"))).toMatchObject(missing);
  });
});

describe("without the database", () => {
  test("calls fail with UNAVAILABLE, naming postgres, in bounded time, and health says not serving", async () => {
    const gone = open("postgres://routeplane_usage:pw@127.0.0.1:1/nowhere");
    const over = transportOver(gone);
    const began = performance.now();
    expect(await errorOf(as(reader, over).getUsage({}))).toMatchObject({
      code: "Unavailable",
      reason: "DEPENDENCY_UNAVAILABLE",
      metadata: { dependency: "postgres" },
    });
    expect(performance.now() - began).toBeLessThan(5_000);
    const statusOf = async (transport: Transport) =>
      (await createClient(Health, transport).check({ service: "dependencies" })).status;
    expect(await statusOf(over)).toBe(Serving.NOT_SERVING);
    await gone.stop();
    expect(await statusOf(transport)).toBe(Serving.SERVING);
  });
});
