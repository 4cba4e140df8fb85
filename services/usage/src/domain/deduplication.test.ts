import { DomainError } from "@routeplane/domain";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pendingRequest, settledRequest } from "../../test/requests.ts";
import { deduplicate, supersedes } from "./deduplication.ts";
import { type RequestLog, UnstorableError } from "./ports.ts";
import { recordRequests } from "./recording.ts";
import { findFault, type LoggedRequest } from "./request.ts";
import { usageRange } from "./usage.ts";

describe("merge", () => {
  test("a request's events amount to its settlement, in any order and repetition", () => {
    const pending = Array.from({ length: 5 }, () => pendingRequest());
    const settled = pending.map((request) => settledRequest(request));
    const expected = settled.toSorted((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
    const events = fc.shuffledSubarray([...pending, ...pending, ...settled, ...settled], {
      minLength: 20,
      maxLength: 20,
    });
    fc.assert(
      fc.property(events, (shuffled) => {
        expect(deduplicate(shuffled)).toEqual(expected);
      }),
    );
  });

  test("merging what was merged changes nothing", () => {
    const requests = [pendingRequest(), settledRequest(pendingRequest())];
    expect(deduplicate(deduplicate(requests))).toEqual(deduplicate(requests));
  });

  test.each<[string, Partial<LoggedRequest>, Partial<LoggedRequest>]>([
    ["what was reported over an estimate", { costNanoUsd: 1_000n }, { costNanoUsd: 9_000n, estimated: true }],
    ["the dearer of two", { costNanoUsd: 9_000n, status: "failed" }, { costNanoUsd: 1_000n }],
    ["the later of two that cost the same", { completedAt: new Date("2026-12-01T00:00:00Z") }, {}],
    ["one of two that differ in their outcome alone", { status: "succeeded" }, { status: "failed" }],
  ])("of two settlements that differ takes %s, in either order", (_, better, worse) => {
    const pending = pendingRequest();
    const [first, second] = [settledRequest(pending, better), settledRequest(pending, worse)];
    expect(deduplicate([first, second])).toEqual([first]);
    expect(deduplicate([second, first])).toEqual([first]);
  });

  test("a request that is charged as unknown gives way to any settlement, and to no admission", () => {
    const pending = pendingRequest();
    const unknown = settledRequest(pending, { status: "unknown", costNanoUsd: 10n ** 9n, estimated: true });
    const settled = settledRequest(pending, { status: "cancelled", costNanoUsd: 1_000n, estimated: true });
    expect(supersedes(settled, unknown)).toBe(true);
    expect(supersedes(unknown, settled)).toBe(false);
    expect(supersedes(pending, unknown)).toBe(false);
    expect(supersedes(pending, pending)).toBe(false);
  });

  const keyOf = ({ namespaceId, id }: LoggedRequest): string => `${namespaceId} ${id}`;
});

describe("recordAll", () => {
  test("leaves out exactly the request that can never be stored, and says which", async () => {
    const requests = Array.from({ length: 13 }, () => pendingRequest());
    const bad = new Set([requests[3], requests[11]]);
    const stored: LoggedRequest[] = [];
    const refusing = logOf((batch) => {
      if (batch.some((request) => bad.has(request))) throw new UnstorableError("refused");
      stored.push(...batch);
    });
    const dropped: LoggedRequest[] = [];
    await recordRequests(refusing, requests, (request) => dropped.push(request));
    expect(new Set(dropped)).toEqual(bad);
    expect(stored.length).toBe(11);
  });

  test("an outage leaves nothing out: the batch must come again", async () => {
    const outage = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "away");
    const dropped: LoggedRequest[] = [];
    const away = logOf(() => {
      throw outage;
    });
    await expect(recordRequests(away, [pendingRequest()], (request) => dropped.push(request))).rejects.toBe(outage);
    expect(dropped).toEqual([]);
  });

  test("a batch without a fault is one transaction", async () => {
    let transactions = 0;
    const counting = logOf(() => void transactions++);
    await recordRequests(counting, [pendingRequest(), pendingRequest()], () => {});
    expect(transactions).toBe(1);
  });

  function logOf(record: (requests: readonly LoggedRequest[]) => void): Pick<RequestLog, "record"> {
    return { record: async (requests) => record(requests) };
  }
});

describe("faultOf", () => {
  test.each<[string, Partial<LoggedRequest>, string]>([
    ["negative tokens", { promptTokens: -1n }, "prompt_tokens: must be from 0"],
    ["absurd tokens", { completionTokens: 10n ** 12n + 1n }, "completion_tokens: must be from 0"],
    ["a negative cost", { costNanoUsd: -1n }, "cost_nano_usd: must be from 0"],
    ["an absurd reservation", { reservedNanoUsd: 2n ** 62n }, "reserved_nano_usd: must be from 0"],
    ["a settlement without its time", { completedAt: undefined }, "completed_at: is required"],
    ["no time at all", { createdAt: new Date(Number.NaN) }, "created_at: must be a time"],
    ["a time outside the calendar", { completedAt: new Date(8.64e15) }, "completed_at: must be a time"],
  ])("refuses %s, naming the field", (_, given, fault) => {
    expect(findFault(settledRequest(pendingRequest(), given))).toContain(fault);
  });

  test("finds none in what gateways send", () => {
    expect(findFault(pendingRequest())).toBeUndefined();
    expect(findFault(settledRequest(pendingRequest()))).toBeUndefined();
  });
});

describe("usageRange", () => {
  const clock = () => Date.parse("2026-11-20T12:00:00Z");
  const time = (text: string) => new Date(text);

  test("is 30 days up to now by default, and 30 days up to `to` without `from`", () => {
    expect(usageRange(undefined, undefined, clock)).toEqual({
      from: time("2026-10-21T12:00:00Z"),
      to: time("2026-11-20T12:00:00Z"),
    });
    expect(usageRange(undefined, time("2026-01-31T00:00:00Z"), clock).from).toEqual(time("2026-01-01T00:00:00Z"));
    expect(usageRange(time("2026-11-01T00:00:00Z"), undefined, clock).to.getTime()).toBe(clock());
  });

  test.each([
    ["after", "2026-06-02T00:00:00Z", "2026-06-01T00:00:00Z"],
    ["equal to", "2026-06-01T00:00:00Z", "2026-06-01T00:00:00Z"],
  ])("refuses a from that is %s to, naming the field", (_, from, to) => {
    const range = () => usageRange(time(from), time(to), clock);
    expect(range).toThrow(expect.objectContaining({ fields: [{ field: "from", rule: "must be before to" }] }));
  });

  test("refuses times that RFC 3339 cannot write", () => {
    expect(() => usageRange(new Date(8.64e15), undefined, clock)).toThrow("from: must be a time in the years");
    expect(() => usageRange(undefined, new Date(Number.NaN), clock)).toThrow("to: must be a time in the years");
  });
});
