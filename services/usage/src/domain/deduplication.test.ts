import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pendingRequest, settledRequest } from "../../test/requests.ts";
import { deduplicate, supersedes } from "./deduplication.ts";
import type { LoggedRequest } from "./request.ts";

describe("deduplicate", () => {
  test("keeps the settlement of a request's events, in any order and repetition", () => {
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

  test("is idempotent", () => {
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

  test("replaces an unknown request by any settlement, but by no admission", () => {
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
