import { LoggedRequestSchema, ReceiptSchema } from "@routeplane/contracts/usage";
import { describe, expect, test } from "vitest";
import { pendingRequest, settledRequest } from "../../test/requests.ts";
import type { Receipt } from "../domain/request.ts";
import { toProtoLoggedRequest, toProtoReceipt } from "./convert-request.ts";

const NOTHING_KNOWN: Receipt = {
  price: undefined,
  billedModel: undefined,
  admittedAt: undefined,
  timeToFirstTokenMs: undefined,
  upstreamMs: undefined,
  guardrailDecisions: [],
  attempts: [],
  deniedAmounts: undefined,
};

test("every field that the contract has is set", () => {
  const { receipt, ...settled } = settledRequest(pendingRequest({ reservedNanoUsd: 1_000n }));
  const deniedAmounts = { limit: 2n, remaining: 0n, needed: 1n, retryAt: new Date() };
  const request = {
    ...settled,
    upstreamError: "overloaded",
    receipt: { ...receipt, billedModel: "dear", deniedAmounts },
  };
  const namesOf = ({ fields }: { readonly fields: readonly { readonly localName: string }[] }): unknown =>
    expect.arrayContaining(fields.map(({ localName }) => localName));
  expect(Object.keys(toProtoLoggedRequest(request))).toEqual(namesOf(LoggedRequestSchema));
  expect(Object.keys(toProtoReceipt(request))).toEqual(namesOf(ReceiptSchema));
});

describe("the receipt of a request", () => {
  test("leaves out unknown values, and shows 0 as 0", () => {
    expect(toProtoReceipt(pendingRequest({ receipt: NOTHING_KNOWN }))).toEqual({});
    const receipt = { ...NOTHING_KNOWN, timeToFirstTokenMs: 0, upstreamMs: 0 };
    const pending = pendingRequest();
    const { createdAt: completedAt } = pending;
    const parts = { cachedPromptTokens: 0n, reasoningTokens: 0n };
    const settled = settledRequest(pending, { receipt, completedAt, costNanoUsd: 1_000n, ...parts });
    expect(toProtoReceipt({ ...settled, reservedNanoUsd: 1_000n })).toEqual({
      cachedPromptTokens: 0n,
      reasoningTokens: 0n,
      timeToFirstTokenMs: 0,
      upstreamMs: 0,
      totalMs: 0n,
      attempts: [{ provider: "echo", model: "echo", status: 200, errorCode: "", durationMs: 0 }],
    });
  });

  test("shows the recorded attempts, otherwise the only attempt, if there was one", () => {
    const pending = pendingRequest();
    const settled = settledRequest(pending);
    expect(toProtoReceipt(settled).attempts).toEqual(settled.receipt.attempts);
    const one = { ...settled, errorCode: "upstream_error", upstreamStatus: 500 };
    expect(toProtoReceipt({ ...one, receipt: { ...settled.receipt, attempts: [] } }).attempts).toEqual([
      { provider: "echo", model: "echo", status: 500, errorCode: "upstream_error", startedMs: 3, durationMs: 1_400 },
    ]);
    expect(toProtoReceipt(pending).attempts).toBeUndefined();
  });

  test("shows the billed model, the price of the request in addition to its tokens, and the overrun", () => {
    const price = { version: "file:1", inputPicoUsd: 1n, outputPicoUsd: 2n, requestPicoUsd: 25_000_000_000n };
    const receipt = { ...NOTHING_KNOWN, price, billedModel: "dear" };
    const settled = settledRequest(pendingRequest({ reservedNanoUsd: 3_000_000n }), {
      receipt,
      costNanoUsd: 1_000_010_000n,
    });
    expect(toProtoReceipt(settled)).toMatchObject({ price, billedModel: "dear", overrunMicroUsd: 997_010n });
  });

  test("shows a duration only for a request whose end is known, and never a negative one", () => {
    const pending = pendingRequest();
    const before = new Date(pending.createdAt.getTime() - 5);
    expect(toProtoReceipt(pending).totalMs).toBeUndefined();
    expect(toProtoReceipt(settledRequest(pending, { status: "unknown" })).totalMs).toBeUndefined();
    expect(toProtoReceipt(settledRequest(pending)).totalMs).toBe(1_500n);
    expect(toProtoReceipt(settledRequest(pending, { completedAt: before })).totalMs).toBe(0n);
  });
});
