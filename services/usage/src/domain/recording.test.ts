import { DomainError } from "@routeplane/domain";
import { describe, expect, test } from "vitest";
import { pendingRequest } from "../../test/requests.ts";
import { type RequestLog, UnstorableError } from "./ports.ts";
import { recordRequests } from "./recording.ts";
import type { LoggedRequest } from "./request.ts";

describe("recordRequests", () => {
  test("reports exactly the request that can never be stored, and records the others", async () => {
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

  test("rejects on an outage, so that the batch is delivered again", async () => {
    const outage = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "down");
    const dropped: LoggedRequest[] = [];
    const failing = logOf(() => {
      throw outage;
    });
    await expect(recordRequests(failing, [pendingRequest()], (request) => dropped.push(request))).rejects.toBe(outage);
    expect(dropped).toEqual([]);
  });

  test("records a batch without a fault in one transaction", async () => {
    let transactions = 0;
    const counting = logOf(() => void transactions++);
    await recordRequests(counting, [pendingRequest(), pendingRequest()], () => {});
    expect(transactions).toBe(1);
  });

  function logOf(record: (requests: readonly LoggedRequest[]) => void): Pick<RequestLog, "record"> {
    return { record: async (requests) => record(requests) };
  }
});
