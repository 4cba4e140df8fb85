import { newId } from "@routeplane/domain";
import { expect, it } from "vitest";
import { MAX_PAST_REQUESTS, readPastRequests } from "./past-requests.ts";
import type { PastRequest } from "./simulation.ts";

const namespaceId = newId("ns");
const query = {
  namespaceId,
  principal: { type: "namespace", id: namespaceId } as const,
  from: new Date(0),
  to: new Date(10 ** 9),
};
const keys = { find: async () => undefined };
const NEVER = new AbortController().signal;

/** Requests, one for each millisecond, newest first. */
function historyOf(count: number) {
  const used = { keyId: newId("key"), provider: "", model: "", streamed: false, tokens: 0n, costNano: 0n };
  const at = (ms: number): PastRequest => ({ ...used, startedMs: ms, endedMs: ms });
  return {
    async *pages() {
      for (let left = count; left > 0; left -= 5_000) {
        yield Array.from({ length: Math.min(left, 5_000) }, (_, index) => at(left - index));
      }
    },
  };
}

it("takes the newest requests up to a bound, with the moment from which they are complete", async () => {
  const most = await readPastRequests(historyOf(MAX_PAST_REQUESTS), keys, query, NEVER);
  expect(most).toMatchObject({ truncated: false, from: query.from });
  expect(most.requests).toHaveLength(MAX_PAST_REQUESTS);
  for (const more of [1, 5_001]) {
    const history = historyOf(MAX_PAST_REQUESTS + more);
    const { requests, truncated, from } = await readPastRequests(history, keys, query, NEVER);
    expect(requests).toHaveLength(MAX_PAST_REQUESTS);
    expect([truncated, from]).toEqual([true, new Date(more + 1)]);
  }
});

it("are read no further once the signal is aborted", async () => {
  const caller = new AbortController();
  let pages = 0;
  const history = {
    async *pages() {
      for await (const page of historyOf(MAX_PAST_REQUESTS).pages()) {
        if (++pages === 2) caller.abort(new Error("gone"));
        yield page;
      }
    },
  };
  await expect(readPastRequests(history, keys, query, caller.signal)).rejects.toThrow("gone");
  expect(pages).toBe(2);
});
