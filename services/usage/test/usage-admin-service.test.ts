import { create, toBinary, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { timestampDate, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { UsageEventBatchSchema } from "@routeplane/contracts/events";
import { ErrorInfoSchema } from "@routeplane/contracts/google-rpc";
import {
  AuditService,
  DeadLetterState,
  GetDeadLetterResponseSchema,
  GetNodeUsageResponseSchema,
  ReconcileUsageResponseSchema,
  UsageAdminService,
  UsageDimension,
} from "@routeplane/contracts/usage";
import { newId } from "@routeplane/domain";
import { type Database, openDatabase } from "@routeplane/postgres";
import { toPageToken, toTimestamp, type VerifyToken } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { cloneDatabase, SERVING, type TestDatabase } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pendingRequest, settledRequest, usageEvent } from "./requests.ts";
import { wireUsage } from "../src/app.ts";
import { replayDeadLetters } from "../src/jobs/replay-dead-letters.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { createDeadLetterBox, createDeadLetterStore } from "../src/store/dead-letters.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";

const NOW = new Date("2026-11-20T12:00:00Z");
const log = createLogger("test", () => "");
const [firstNamespaceId, secondNamespaceId] = [newId("ns"), newId("ns")].toSorted() as [
  ReturnType<typeof newId<"ns">>,
  ReturnType<typeof newId<"ns">>,
];

let clone: TestDatabase;
let database: Database<UsageSchema>;
let aggregator: Database<UsageSchema>;
let transport: ReturnType<typeof createRouterTransport>;

beforeAll(async () => {
  clone = await cloneDatabase();
  [database, aggregator] = [open(clone.url("routeplane_usage")), open(clone.url("routeplane_aggregator"))];
  const requests = [firstNamespaceId, firstNamespaceId, secondNamespaceId].map((namespaceId) =>
    settledRequest(pendingRequest({ namespaceId })),
  );
  await createRequestLog(aggregator).record(deduplicate(requests));
  const serviceCredentials = { callerOf: (token: string) => (token === "rps_test" ? ("policy" as const) : undefined) };
  const wiring = { ...SERVING, serviceCredentials, database, verifyToken, log, clock: () => NOW.getTime() };
  const { routes, interceptors } = wireUsage(wiring);
  transport = createRouterTransport(routes, { router: { interceptors } });
  operator = as("operator/usage:*/audit:read");
});

afterAll(async () => {
  await Promise.all([database.stop(), aggregator.stop()]);
  await clone.drop();
});

function open(url: string): Database<UsageSchema> {
  return openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
}

/** Verifies tokens of the form `operator/<scopes>`, `limited/<scopes>` or `key`. */
const verifyToken: VerifyToken = async (token) => {
  const [kind, ...scopes] = token.split("/");
  const operatorId = newId("op");
  if (kind === "key") {
    const keyId = newId("key");
    const bound = { keyId, namespaceId: firstNamespaceId, accountId: newId("acc"), lineage: [keyId] };
    return { kind, ...bound, scopes: ["usage:*"], expiresAt: undefined };
  }
  const accountId = kind === "limited" ? newId("acc") : undefined;
  return { kind: "operator", operatorId, accountId, scopes, lineage: [operatorId], expiresAt: undefined };
};

function as(token: string) {
  const authenticate = { headers: { authorization: `Bearer ${token}` } };
  const client = createClient(UsageAdminService, transport);
  const audit = createClient(AuditService, transport);
  return {
    audit: (request: Parameters<typeof audit.listAuditEntries>[0]) => audit.listAuditEntries(request, authenticate),
    usage: (request: Parameters<typeof client.getNodeUsage>[0]) => client.getNodeUsage(request, authenticate),
    reconcile: (request: Parameters<typeof client.reconcileUsage>[0]) => client.reconcileUsage(request, authenticate),
    list: (request: Parameters<typeof client.listDeadLetters>[0]) => client.listDeadLetters(request, authenticate),
    get: (id: string) => client.getDeadLetter({ id }, authenticate),
    replay: (id: string) => client.replayDeadLetter({ id }, authenticate),
    discard: (id: string) => client.discardDeadLetter({ id }, authenticate),
  };
}

let operator: ReturnType<typeof as>;

async function refusalOf(call: Promise<unknown>): Promise<string> {
  const error = ConnectError.from(
    await call.then(
      () => new Error("it succeeded"),
      (reason: unknown) => reason,
    ),
  );
  return `${Code[error.code]} ${error.findDetails(ErrorInfoSchema)[0]?.reason}`;
}

/** Stores a dead letter with one event, as the aggregator would. Returns its id. */
async function addDeadLetter(request = settledRequest(pendingRequest()), reason = "out of luck"): Promise<string> {
  const payload = toBinary(UsageEventBatchSchema, create(UsageEventBatchSchema, { events: [usageEvent(request)] }));
  const { namespaceId, id: requestId } = request;
  await createDeadLetterBox(aggregator).add([{ namespaceId, requestId, reason, payload }]);
  return (await operator.list({ pageSize: 1 })).deadLetters[0]!.id;
}

/** Replays dead letters as the aggregator does, until none is left. */
async function replayAll(): Promise<void> {
  const box = createDeadLetterBox(aggregator);
  const replaying = replayDeadLetters(
    { requests: createRequestLog(aggregator), retentionDays: 400, clock: () => NOW.getTime() },
    box,
    log,
  );
  while ((await box.nextToReplay()) !== undefined) await new Promise((resolve) => setImmediate(resolve));
  await replaying.stop();
}

describe("GetNodeUsage", () => {
  test("sums each namespace, and groups within it, over whole hours", async () => {
    const range = { from: toTimestamp(new Date("2026-11-20T10:30:00Z")), to: toTimestamp(NOW) };
    const answer = await operator.usage({ ...range, groupBy: [UsageDimension.MODEL] });
    expect(answer).toMatchObject({
      from: toTimestamp(new Date("2026-11-20T10:00:00Z")),
      to: toTimestamp(NOW),
      requestCount: 3n,
      spendMicroUsd: 3n * 1234n,
    });
    expect(answer.groups).toMatchObject([
      { namespaceId: firstNamespaceId, usage: { model: "echo", requestCount: 2n } },
      { namespaceId: secondNamespaceId, usage: { model: "echo", requestCount: 1n } },
    ]);
  });

  test("has the days of a time zone, each from the nearest hour on, and refuses an unknown time zone", async () => {
    const startOf = async (timeZone: string) => {
      const { groups } = await operator.usage({ groupBy: [UsageDimension.DAY], timeZone });
      const { day } = groups[0]?.usage ?? {};
      return day && timestampDate(day).toISOString();
    };
    expect(await startOf("Europe/Berlin")).toBe("2026-11-19T23:00:00.000Z");
    expect(await startOf("Asia/Kolkata")).toBe("2026-11-19T19:00:00.000Z");
    expect(await refusalOf(operator.usage({ timeZone: "Mars/Base" }))).toBe("InvalidArgument FIELD_INVALID");
  });

  test("can be written as JSON up to the last time of the calendar", async () => {
    const range = {
      from: toTimestamp(new Date("0001-01-01T00:00:00Z")),
      to: toTimestamp(new Date("9999-12-31T23:59:59.999Z")),
    };
    const to = "9999-12-31T23:00:00Z";
    expect(toJson(GetNodeUsageResponseSchema, await operator.usage(range))).toMatchObject({ to, requestCount: "3" });
    expect(toJson(ReconcileUsageResponseSchema, await operator.reconcile(range))).toMatchObject({ to });
    const lastHour = { ...range, from: toTimestamp(new Date("9999-12-31T23:30:00Z")) };
    expect(await operator.usage(lastHour)).toMatchObject({ requestCount: 0n, groups: [] });
  });

  test("reads only sums: a transaction of the whole node sees no requests", async () => {
    const seen = (table: "requests" | "rollups_hourly") =>
      database.within({ node: true }, (tx) => tx.selectFrom(table).select("namespace_id").execute());
    expect(await seen("requests")).toEqual([]);
    expect(await seen("rollups_hourly")).toHaveLength(3);
  });
});

describe("ReconcileUsage", () => {
  /** Tables with rows or sums of requests. */
  const KEPT = ["rollups_hourly", "rollups_daily", "totals", "latencies_hourly", "requests"] as const;
  const range = { from: toTimestamp(new Date("2026-11-19T10:30:00Z")), to: toTimestamp(NOW) };

  test("finds no difference in what the aggregator wrote, and reads every namespace", async () => {
    expect(await operator.reconcile(range)).toMatchObject({ namespaceCount: 2, differences: [], nextPageToken: "" });
  });

  test("continues within a namespace, from the start of an hour alone", async () => {
    const from = (time: string) => `${firstNamespaceId}.${Date.parse(time)}`;
    const reconcile = (text: string) =>
      operator.reconcile({ ...range, pageToken: toPageToken("reconciled-namespaces", text) });
    expect(await reconcile(from("2026-11-20T10:00:00Z"))).toMatchObject({ namespaceCount: 2, nextPageToken: "" });
    expect(await reconcile(firstNamespaceId)).toMatchObject({ namespaceCount: 1 });
    // The end of the range, and before its start.
    expect(await reconcile(from("2026-11-21T00:00:00Z"))).toMatchObject({ namespaceCount: 1 });
    expect(await reconcile(from("1969-11-20T10:00:00Z"))).toMatchObject({ namespaceCount: 2, differences: [] });
    expect(await refusalOf(reconcile(from("2026-11-20T10:00:01Z")))).toBe("InvalidArgument FIELD_INVALID");
    expect(await refusalOf(reconcile(`${firstNamespaceId}.x`))).toBe("InvalidArgument FIELD_INVALID");
  });

  test("names wrong and missing sums of hours and days", async () => {
    const broken = newId("ns");
    const requests = ["kept", "lost"].map((model) => settledRequest(pendingRequest({ namespaceId: broken, model })));
    await createRequestLog(aggregator).record(deduplicate(requests));
    const superuser = open(clone.adminUrlOf("usage"));
    const spoil = (statement: ReturnType<typeof sql>) => superuser.within({}, (tx) => statement.execute(tx));
    const ofBroken = sql`namespace_id = ${broken}`;
    await spoil(
      sql`update rollups_hourly set cost_nano_usd = cost_nano_usd + 1000 where ${ofBroken} and model = 'kept'`,
    );
    await spoil(sql`delete from rollups_hourly where ${ofBroken} and model = 'lost'`);
    const { differences } = await operator.reconcile({ ...range, to: toTimestamp(new Date("2026-11-21T00:00:00Z")) });
    const hour = toTimestamp(new Date("2026-11-20T10:00:00Z"));
    const day = toTimestamp(new Date("2026-11-20T00:00:00Z"));
    const named = { namespaceId: broken };
    expect(differences).toMatchObject([
      {
        ...named,
        kept: { hour, model: "kept", spendMicroUsd: 1235n },
        expected: { requestCount: 1n, spendMicroUsd: 1234n },
      },
      {
        ...named,
        kept: { hour, model: "lost", requestCount: 0n },
        expected: { requestCount: 1n, spendMicroUsd: 1234n },
      },
      { ...named, kept: { day, model: "kept", spendMicroUsd: 1234n }, expected: { spendMicroUsd: 1235n } },
      { ...named, kept: { day, model: "lost", requestCount: 1n }, expected: { requestCount: 0n } },
    ]);
    for (const table of KEPT) await spoil(sql`delete from ${sql.table(table)} where ${ofBroken}`);
    await superuser.stop();
  });

  test("names wrong and missing latencies of hours", async () => {
    const broken = newId("ns");
    const requests = ["kept", "lost"].map((model) => settledRequest(pendingRequest({ namespaceId: broken, model })));
    await createRequestLog(aggregator).record(deduplicate(requests));
    const superuser = open(clone.adminUrlOf("usage"));
    const spoil = (statement: ReturnType<typeof sql>) => superuser.within({}, (tx) => statement.execute(tx));
    const ofBroken = sql`namespace_id = ${broken}`;
    await spoil(
      sql`update latencies_hourly set total_ms_histogram = 2 * total_ms_histogram where ${ofBroken} and model = 'kept'`,
    );
    await spoil(sql`delete from latencies_hourly where ${ofBroken} and model = 'lost'`);
    const { differences } = await operator.reconcile(range);
    const hour = toTimestamp(new Date("2026-11-20T10:00:00Z"));
    const once = { totalLatency: { requestCount: 1n }, firstTokenLatency: { requestCount: 1n } };
    expect(differences).toMatchObject([
      {
        namespaceId: broken,
        kept: { ...once, hour, model: "kept", totalLatency: { requestCount: 2n } },
        expected: once,
      },
      { namespaceId: broken, kept: { hour, model: "lost" }, expected: once },
    ]);
    expect(differences[1]?.kept?.totalLatency).toBeUndefined();
    for (const table of KEPT) await spoil(sql`delete from ${sql.table(table)} where ${ofBroken}`);
    await superuser.stop();
  });

  test("finds namespaces that have requests and no sums, sums and no requests, and days without hours", async () => {
    const [unsummed, unlogged, onlyDays] = [newId("ns"), newId("ns"), newId("ns")];
    const requests = [unsummed, unlogged, onlyDays].map((namespaceId) =>
      settledRequest(pendingRequest({ namespaceId })),
    );
    await createRequestLog(aggregator).record(deduplicate(requests));
    const superuser = open(clone.adminUrlOf("usage"));
    const remove = (table: string, namespaceId: string) =>
      superuser.within({}, (tx) =>
        sql`delete from ${sql.table(table)} where namespace_id = ${namespaceId}`.execute(tx),
      );
    for (const table of ["rollups_hourly", "rollups_daily", "totals"]) await remove(table, unsummed);
    await remove("requests", unlogged);
    for (const table of ["rollups_hourly", "latencies_hourly", "requests"]) await remove(table, onlyDays);
    await superuser.within({}, (tx) =>
      tx.deleteFrom("totals").where("namespace_id", "=", onlyDays).where("minutes", "=", 5).execute(),
    );
    const wholeDay = { ...range, to: toTimestamp(new Date("2026-11-21T00:00:00Z")) };
    const found = async (wanted: typeof range) => {
      const { differences } = await operator.reconcile(wanted);
      return differences.map(({ namespaceId, fiveMinutes, kept, expected }) => {
        const of = `${kept?.keyId === "" ? "all in " : ""}${fiveMinutes ? "minutes" : kept?.day ? "day" : "hour"}`;
        return [namespaceId, of, kept?.requestCount, expected?.requestCount].join(" ");
      });
    };
    const first = [`${unsummed} hour 0 1`, `${unsummed} all in minutes 0 1`];
    // The last difference is the histogram of its hour, which has neither key nor count.
    const second = [`${unlogged} hour 1 0`, `${unlogged} all in minutes 1 0`, `${unlogged} all in hour 0 0`];
    const third = [`${onlyDays} day 1 0`, `${onlyDays} all in day 1 0`];
    expect(new Set(await found(wholeDay))).toEqual(new Set([...first, ...second, ...third]));
    expect(new Set(await found(range))).toEqual(new Set([...first, ...second]));
    // Where the requests were dropped, the sums can only be compared with each other.
    await superuser.within({}, (tx) => sql`update retention set kept_from = '2026-11-20T11:00:00Z'`.execute(tx));
    expect(new Set(await found(wholeDay))).toEqual(new Set(third));
    const { keptFrom } = await operator.reconcile(wholeDay);
    expect(keptFrom).toEqual(toTimestamp(new Date("2026-11-20T11:00:00Z")));
    await superuser.within({}, (tx) => sql`update retention set kept_from = '2000-01-01Z'`.execute(tx));
    expect((await operator.reconcile(wholeDay)).keptFrom).toBeUndefined();
    for (const table of KEPT) {
      for (const namespaceId of [unsummed, unlogged, onlyDays]) await remove(table, namespaceId);
    }
    await superuser.stop();
  });
});

describe("dead letters", () => {
  test("have their event and the reason; the same bytes are stored once", async () => {
    const request = settledRequest(pendingRequest(), { errorCode: "x" });
    const id = await addDeadLetter(request);
    await addDeadLetter(request, "another reason");
    const { deadLetters } = await operator.list({ pageSize: 2, state: DeadLetterState.HELD });
    expect(deadLetters.filter((each) => each.requestId === request.id)).toHaveLength(1);
    const { deadLetter } = await operator.get(id);
    expect(deadLetter).toMatchObject({ id, reason: "out of luck", namespaceId: request.namespaceId });
    expect(deadLetter?.content?.events).toEqual([usageEvent(request)]);
    expect(deadLetters[0]?.payload).toHaveLength(0);
  });

  test("of a batch are stored together, however many they are", async () => {
    const namespaceId = newId("ns");
    const unrecorded = Array.from({ length: 11_000 }, (_, index) => {
      return { namespaceId, requestId: "", reason: "many", payload: Buffer.from(`many ${index}`) };
    });
    await createDeadLetterBox(aggregator).add(unrecorded);
    const stored = await aggregator.within({}, (transaction) =>
      transaction.selectFrom("dead_letters").select("id").where("namespace_id", "=", namespaceId).execute(),
    );
    expect(stored).toHaveLength(11_000);
  });

  test("are listed without reading their bytes", async () => {
    const id = await addDeadLetter();
    const store = createDeadLetterStore(database);
    const listed = (await store.list({ size: 1, before: undefined, state: undefined }))[0] ?? expect.fail();
    expect(listed).toMatchObject({ id, reason: "out of luck" });
    expect(listed).not.toHaveProperty("payload");
    expect((await store.get(listed.id))?.payload.length).toBeGreaterThan(0);
  });

  test("are paged through, newest first, each once", async () => {
    const made: string[] = [];
    for (let count = 0; count < 5; count++) made.push(await addDeadLetter());
    const first = await operator.list({ pageSize: 3 });
    const second = await operator.list({ pageSize: 2, pageToken: first.nextPageToken });
    const listed = [...first.deadLetters, ...second.deadLetters].map(({ id }) => id);
    expect(listed).toEqual(made.toReversed());
  });

  test("that are replayed are recorded once, and name the operator", async () => {
    const request = settledRequest(pendingRequest());
    const id = await addDeadLetter(request);
    for (let times = 0; times < 2; times++) {
      expect((await operator.replay(id)).deadLetter).toMatchObject({ state: DeadLetterState.REPLAYING });
    }
    expect(await refusalOf(operator.discard(id))).toBe("FailedPrecondition STATE_CONFLICT");
    await replayAll();
    const { deadLetter } = await operator.get(id);
    expect(deadLetter).toMatchObject({ state: DeadLetterState.REPLAYED, changedBy: expect.stringMatching(/^op_/) });
    const counted = await operator.usage({ from: toTimestamp(new Date("2026-11-20T00:00:00Z")) });
    const ofNamespace = counted.groups.filter(({ namespaceId }) => namespaceId === request.namespaceId);
    expect(ofNamespace).toMatchObject([{ usage: { requestCount: 1n } }]);
    expect(await refusalOf(operator.replay(id))).toBe("FailedPrecondition STATE_CONFLICT");
  });

  test("that fail again are held again, with the new reason", async () => {
    const id = await addDeadLetter(settledRequest(pendingRequest(), { costNanoUsd: -1n }), "because");
    await operator.replay(id);
    await replayAll();
    const { deadLetter } = await operator.get(id);
    expect(deadLetter).toMatchObject({ state: DeadLetterState.HELD });
    expect(deadLetter?.reason).toContain("cost_nano_usd");
  });

  test("leave one audit entry for each replay and discard, and none for changes by the aggregator", async () => {
    const [replayed, discarded] = [await addDeadLetter(), await addDeadLetter()];
    const from = toTimestamp(new Date());
    for (let times = 0; times < 2; times++) {
      await operator.replay(replayed);
      await operator.discard(discarded);
    }
    await replayAll();
    const actors = await Promise.all([discarded, replayed].map(async (id) => (await operator.get(id)).deadLetter));
    const { entries } = await operator.audit({ filter: { from } });
    const entry = (id: string, actorId: string | undefined, action: string, state: string) => ({
      actorType: "operator",
      actorId,
      action,
      targetId: id,
      before: { state: "held" },
      after: { state },
    });
    expect(entries).toMatchObject([
      entry(discarded, actors[0]?.changedBy, "dead_letter.discard", "discarded"),
      entry(replayed, actors[1]?.changedBy, "dead_letter.replay", "replaying"),
    ]);
    expect(entries.every(({ createdAt }) => createdAt !== undefined && createdAt.seconds >= from.seconds)).toBe(true);
  });

  test("can be written as JSON whatever their events are", async () => {
    const event = usageEvent(settledRequest(pendingRequest()));
    const createdAt = create(TimestampSchema, { seconds: 2n ** 50n });
    const events = [{ ...event, request: { ...event.request!, createdAt } }];
    const payload = toBinary(UsageEventBatchSchema, create(UsageEventBatchSchema, { events }));
    await createDeadLetterBox(aggregator).add([{ namespaceId: "", requestId: "", reason: "created_at", payload }]);
    const [letter] = (await operator.list({ pageSize: 1 })).deadLetters;
    const response = await operator.get(letter!.id);
    expect(toJson(GetDeadLetterResponseSchema, response)).toMatchObject({ deadLetter: { reason: "created_at" } });
    expect(Buffer.from(response.deadLetter!.payload)).toEqual(Buffer.from(payload));
  });

  test("hold an unreadable message unchanged", async () => {
    const payload = Buffer.from("not protobuf at all");
    const box = createDeadLetterBox(aggregator);
    await box.add([{ namespaceId: "", requestId: "", reason: "unreadable", payload }]);
    const [letter] = (await operator.list({ pageSize: 1 })).deadLetters;
    const { deadLetter } = await operator.get(letter!.id);
    expect(Buffer.from(deadLetter!.payload).toString()).toBe("not protobuf at all");
    expect(deadLetter?.content).toBeUndefined();
    await operator.replay(letter!.id);
    await replayAll();
    expect((await operator.get(letter!.id)).deadLetter).toMatchObject({ state: DeadLetterState.HELD });
  });

  test("that are discarded stay, are never recorded, and cannot be replayed", async () => {
    const id = await addDeadLetter();
    for (let times = 0; times < 2; times++) {
      expect((await operator.discard(id)).deadLetter).toMatchObject({ state: DeadLetterState.DISCARDED });
    }
    expect(await refusalOf(operator.replay(id))).toBe("FailedPrecondition STATE_CONFLICT");
  });
});

describe("access", () => {
  const calls = [
    ["GetNodeUsage", (token: string) => as(token).usage({}), "usage:read"],
    ["ReconcileUsage", (token: string) => as(token).reconcile({}), "usage:read"],
    ["ListDeadLetters", (token: string) => as(token).list({}), "usage:read"],
    ["GetDeadLetter", (token: string) => as(token).get(newId("dl")), "usage:read"],
    ["ReplayDeadLetter", (token: string) => as(token).replay(newId("dl")), "usage:write"],
    ["DiscardDeadLetter", (token: string) => as(token).discard(newId("dl")), "usage:write"],
  ] as const;

  test.each(calls)("%s: operators of the whole node with the scope, and nobody else", async (_, call, scope) => {
    expect(await refusalOf(call("key"))).toBe("PermissionDenied OPERATOR_REQUIRED");
    expect(await refusalOf(call("operator/audit:*"))).toBe("PermissionDenied SCOPE_MISSING");
    expect(await refusalOf(call("limited/usage:*"))).toBe("PermissionDenied ACCOUNT_LIMITED");
    const allowed = await refusalOf(call(`operator/${scope}`));
    expect(["Unknown undefined", "NotFound RESOURCE_NOT_FOUND"]).toContain(allowed);
  });
});
