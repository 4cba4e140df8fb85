import { newId } from "@routeplane/domain";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pageRequest, totalsIn, usageQuery } from "./queries.ts";
import { pendingRequest, requestIds, settledRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { UNSETTLED } from "../src/domain/request.ts";
import type { Position, RequestFilter } from "../src/domain/ports.ts";
import type { UsageQuery } from "../src/domain/usage.ts";
import { startUsageDatabase, type UsageDatabase } from "./usage-database.ts";

let database: UsageDatabase;
let query: UsageDatabase["query"];
let log: UsageDatabase["log"];
let usage: UsageDatabase["usage"];

beforeAll(async () => {
  database = await startUsageDatabase();
  ({ query, log, usage } = database);
});

afterAll(() => database.stop());

describe("reading", () => {
  test("totals count pending requests, but neither denied ones nor those outside the range", async () => {
    const namespaceId = newId("ns");
    const at = (time: string) => ({ namespaceId, createdAt: new Date(time) });
    const inside = pendingRequest(at("2026-05-01T00:00:00.000Z"));
    await log.record(
      deduplicate([
        settledRequest(inside),
        settledRequest(pendingRequest(at("2026-05-31T23:59:59.999Z"))),
        pendingRequest(at("2026-05-10T00:00:00Z")),
        settledRequest(pendingRequest(at("2026-05-10T00:00:00Z")), { status: "denied", costNanoUsd: 0n }),
        settledRequest(pendingRequest(at("2026-04-30T23:59:59.999Z"))),
        settledRequest(pendingRequest(at("2026-06-01T00:00:00.000Z"))),
        settledRequest(pendingRequest({ createdAt: inside.createdAt })),
      ]),
    );
    const may = { from: new Date("2026-05-01T00:00:00Z"), to: new Date("2026-06-01T00:00:00Z") };
    const latencies = { total: [], firstToken: [] };
    expect(await totalsIn(usage, namespaceId, may)).toEqual({
      requestCount: 3n,
      promptTokens: 24n,
      completionTokens: 68n,
      costNanoUsd: 2_468_000n,
      latencies,
    });
    expect(await totalsIn(usage, newId("ns"), may)).toEqual({
      requestCount: 0n,
      promptTokens: 0n,
      completionTokens: 0n,
      costNanoUsd: 0n,
      latencies,
    });
  });

  test("filters apply to the log and to the totals", async () => {
    const namespaceId = newId("ns");
    const [keyId, otherKeyId] = [newId("key"), newId("key")];
    const at = (day: number) => new Date(Date.UTC(2026, 10, day, 12));
    const make = (keyId: typeof otherKeyId, model: string, day: number, status: "succeeded" | "failed" | "pending") => {
      const provider = day % 2 === 0 ? "even" : "odd";
      const pending = pendingRequest({ namespaceId, keyId, model, provider, createdAt: at(day) });
      return status === "pending" ? pending : settledRequest(pending, { status });
    };
    const [first, second, third, fourth] = [
      make(keyId, "small", 1, "succeeded"),
      make(keyId, "large", 2, "failed"),
      make(otherKeyId, "small", 3, "pending"),
      make(otherKeyId, "large", 4, "succeeded"),
    ] as const;
    await log.record(deduplicate([first, second, third, fourth, settledRequest(pendingRequest({ keyId }))]));
    const listed = async (filter: Partial<RequestFilter>) =>
      (await usage.list(namespaceId, pageRequest({ filter }))).rows.map(({ createdAt }) => createdAt.getUTCDate());
    expect(await listed({})).toEqual([4, 3, 2, 1]);
    expect(await listed({ keyId })).toEqual([2, 1]);
    expect(await listed({ model: "small" })).toEqual([3, 1]);
    expect(await listed({ provider: "odd" })).toEqual([3, 1]);
    expect(await listed({ provider: "even", model: "large", keyId })).toEqual([2]);
    expect(await listed({ provider: "even", model: "small" })).toEqual([]);
    expect(await listed({ status: "failed" })).toEqual([2]);
    expect(await listed({ status: "pending", keyId: otherKeyId })).toEqual([3]);
    expect(await listed({ from: at(2), to: at(4) })).toEqual([3, 2]);
    expect(await listed({ keyId: "no key" })).toEqual([]);
    const counted = async (given: Partial<UsageQuery>) =>
      (await usage.sumUsage(namespaceId, usageQuery(given))).map(({ requestCount }) => Number(requestCount));
    expect(await counted({ keyId })).toEqual([2]);
    expect(await counted({ model: "small", keyId: otherKeyId })).toEqual([1]);
    expect(await counted({ provider: "even" })).toEqual([2]);
    expect(await counted({ provider: "even", keyId: otherKeyId, groupBy: ["provider"] })).toEqual([1]);
    expect(await counted({ provider: "neither" })).toEqual([0]);
    expect(await counted({ groupBy: ["model", "key"] })).toEqual([1, 1, 1, 1]);
    expect(await counted({ groupBy: ["day"], model: "large" })).toEqual([1, 1]);
  });

  test("groups are in order of time, then of cost, and name their dimensions", async () => {
    const namespaceId = newId("ns");
    const settled = (hour: number, model: string, costNanoUsd: bigint) =>
      settledRequest(pendingRequest({ namespaceId, model, createdAt: new Date(Date.UTC(2026, 10, 1, hour, 30)) }), {
        costNanoUsd,
      });
    const cheap = settled(8, "cheap", 1_000n);
    await log.record(
      deduplicate([settled(9, "dear", 5_000n), cheap, settled(8, "dear", 9_000n), settled(8, "dear", 9_000n)]),
    );
    const groups = await usage.sumUsage(
      namespaceId,
      usageQuery({ groupBy: ["hour", "model", "key", "provider", "status"] }),
    );
    expect(groups.map(({ hour, model, costNanoUsd }) => [hour?.getUTCHours(), model, Number(costNanoUsd)])).toEqual([
      [8, "dear", 9_000],
      [8, "dear", 9_000],
      [8, "cheap", 1_000],
      [9, "dear", 5_000],
    ]);
    const own = { keyId: cheap.keyId, provider: "echo", status: "succeeded", day: undefined };
    expect(groups[2]).toMatchObject(own);
    const days = await usage.sumUsage(namespaceId, usageQuery({ groupBy: ["day"] }));
    expect(days).toMatchObject([{ day: new Date("2026-11-01T00:00:00Z"), hour: undefined, requestCount: 4n }]);
  });

  test("a request is found by its id, only in its namespace", async () => {
    const settled = settledRequest(pendingRequest());
    const price = {
      version: "file:1",
      inputPicoUsd: 1n,
      outputPicoUsd: 2n,
      requestPicoUsd: 25_000_000_000n,
      cachedInputPicoUsd: 0n,
      cacheWritePicoUsd: 3n,
      inputAudioPicoUsd: 4n,
      outputAudioPicoUsd: 5n,
      reasoningPicoUsd: 6n,
    };
    const receipt = { ...settled.receipt, price, billedModel: "dear" };
    const request = { ...settled, upstreamStatus: 500, upstreamError: "overloaded", receipt };
    // The admission comes first, so that the settlement replaces its columns.
    await log.record([pendingRequest({ ...settled, ...UNSETTLED })]);
    await log.record([request]);
    expect(await usage.get(request.namespaceId, request.id)).toEqual(request);
    expect(await usage.get(newId("ns"), request.id)).toBeUndefined();
  });

  test("a request from before receipts is read without one", async () => {
    const nothing = { price: undefined, billedModel: undefined };
    const { cachedPromptTokens, reasoningTokens } = UNSETTLED;
    const untimed = { admittedAt: undefined, timeToFirstTokenMs: undefined, upstreamMs: undefined };
    const receipt = { ...nothing, ...untimed, guardrailDecisions: [], attempts: [], deniedAmounts: undefined };
    const request = settledRequest(pendingRequest(), { receipt, cachedPromptTokens, reasoningTokens });
    await log.record([request]);
    expect(await usage.get(request.namespaceId, request.id)).toEqual(request);
    const { rows } = await query.within({ namespaceId: request.namespaceId }, (tx) =>
      sql`select num_nonnulls(billed_model, request_price_pico_usd, price_version, input_price_pico_usd, output_price_pico_usd, cached_prompt_tokens,
        reasoning_tokens, admitted_at, first_token_ms, upstream_ms, guardrail_decisions, attempts, denied_amounts) as known from requests`.execute(
        tx,
      ),
    );
    expect(rows).toEqual([{ known: 0 }]);
  });

  test("a page has all fields of a request except its receipt", async () => {
    const request = settledRequest(pendingRequest(), { errorCode: "upstream_error", deniedRule: "budget" });
    await log.record([request]);
    const { expiresAt: _, receipt: __, ...listed } = request;
    expect(await usage.list(request.namespaceId, pageRequest())).toEqual({ rows: [listed], hasMore: false });
    expect(await usage.listByIds(request.namespaceId, [request.id])).toEqual([listed]);
  });

  test("paging while rows arrive and settle returns every earlier row once, newest first", async () => {
    const namespaceId = newId("ns");
    const ids = requestIds(95);
    // Every third request arrives late, between rows that were already read.
    const [late, early] = [ids.filter((_, index) => index % 3 === 0), ids.filter((_, index) => index % 3 !== 0)];
    await log.record(early.map((id) => pendingRequest({ namespaceId, id })));
    const seen: string[] = [];
    let before: Position | undefined;
    for (let more = true; more;) {
      const page = await usage.list(namespaceId, pageRequest({ size: 10, before }));
      seen.push(...page.rows.map(({ id }) => id));
      before = page.rows.at(-1);
      more = page.hasMore;
      const arriving = [...late.splice(0, 3), newId("req")].map((id) => pendingRequest({ namespaceId, id }));
      const settling = early.slice(0, 20).map((id) => settledRequest(pendingRequest({ namespaceId, id })));
      await log.record(deduplicate([...arriving, ...settling]));
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(seen.toSorted().toReversed());
    expect(early.filter((id) => !seen.includes(id))).toEqual([]);
  });

  test("pages of a log with gaps of weeks and months equal those of the whole list, for any range", async () => {
    const DAY_MS = 24 * 60 * 60 * 1000;
    const first = Date.now() - 300 * DAY_MS;
    // Many in the last days, some at the same moment, and some in the future, from another machine's clock.
    const days = fc.oneof(fc.nat(310), fc.integer({ min: 288, max: 301 }), fc.constantFrom(292, 294));
    const moments = days.map((day) => first + day * DAY_MS);
    const time = fc.option(moments, { nil: undefined });
    const shape = fc.record({
      times: fc.array(moments, { minLength: 5, maxLength: 30 }),
      size: fc.integer({ min: 1, max: 9 }),
      from: time,
      to: time,
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ times, size, from, to }) => {
        const namespaceId = newId("ns");
        const all = deduplicate(times.map((atMs) => pendingRequest({ namespaceId, createdAt: new Date(atMs) })));
        await log.record(all);
        const expected = all
          .filter(({ createdAt }) => createdAt.getTime() >= (from ?? 0) && createdAt.getTime() < (to ?? Infinity))
          .map(({ createdAt, id }) => `${createdAt.toISOString()} ${id}`);
        const filter = {
          from: from === undefined ? undefined : new Date(from),
          to: to === undefined ? undefined : new Date(to),
        };
        const seen: string[] = [];
        let before: Position | undefined;
        for (let more = true; more;) {
          const page = await usage.list(namespaceId, pageRequest({ size, before, filter }));
          expect(page.hasMore ? page.rows.length : size).toBe(size);
          seen.push(...page.rows.map(({ createdAt, id }) => `${createdAt.toISOString()} ${id}`));
          before = page.rows.at(-1);
          more = page.hasMore;
        }
        expect(seen).toEqual(expected.toSorted().toReversed());
      }),
      { numRuns: 40 },
    );
  }, 60_000);
});
