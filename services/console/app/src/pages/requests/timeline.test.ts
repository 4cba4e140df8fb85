import { create } from "@bufbuild/protobuf";
import { ReceiptSchema } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { type Timeline, timelineOf } from "./timeline.ts";

const ATTEMPT = { provider: "openai", model: "gpt-4o", status: 200, startedMs: 40, durationMs: 100 };
const partsOf = (timeline: Timeline | undefined): readonly unknown[] | undefined =>
  timeline?.stretches.map(({ name, startMs, endMs, outcome }) => [name, startMs, endMs, outcome]);

test("divides the time of a request between the gateway and the upstream", () => {
  const receipt = create(ReceiptSchema, { totalMs: 150n, attempts: [ATTEMPT], timeToFirstTokenMs: 90 });
  expect(partsOf(timelineOf(receipt))).toEqual([
    ["Gateway, before the upstream", 0, 40, ""],
    ["openai/gpt-4o", 40, 140, "200"],
    ["Gateway, after the upstream", 140, 150, ""],
  ]);
  expect(timelineOf(receipt)).toMatchObject({ totalMs: 150, firstTokenMs: 90 });
});

test("shows every attempt with its outcome, and the pause between two attempts", () => {
  const failed = { ...ATTEMPT, status: 429, errorCode: "rate_limit_exceeded", durationMs: 10 };
  const receipt = create(ReceiptSchema, { totalMs: 200n, attempts: [failed, { ...ATTEMPT, startedMs: 70 }] });
  expect(partsOf(timelineOf(receipt))).toEqual([
    ["Gateway, before the upstream", 0, 40, ""],
    ["openai/gpt-4o", 40, 50, "429 rate_limit_exceeded"],
    ["Gateway", 50, 70, ""],
    ["openai/gpt-4o", 70, 170, "200"],
    ["Gateway, after the upstream", 170, 200, ""],
  ]);
});

test("is not divided without an attempt, and undefined for a running request", () => {
  expect(timelineOf(create(ReceiptSchema, { totalMs: 79n }))).toMatchObject({ totalMs: 79, stretches: [] });
  expect(timelineOf(create(ReceiptSchema, { attempts: [ATTEMPT] }))).toBeUndefined();
});

test("never ends before its parts, even if clocks round differently", () => {
  expect(timelineOf(create(ReceiptSchema, { totalMs: 139n, attempts: [ATTEMPT] }))?.totalMs).toBe(140);
  const silent = { provider: "openai", model: "gpt-4o", durationMs: 10 };
  expect(partsOf(timelineOf(create(ReceiptSchema, { totalMs: 10n, attempts: [silent] })))).toEqual([
    ["openai/gpt-4o", 0, 10, "no answer"],
  ]);
});
