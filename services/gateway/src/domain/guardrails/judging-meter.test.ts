import { newId } from "@routeplane/domain";
import { MAX_STEPS } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { JudgingMeter, STEPS_PER_SECOND } from "./judging-meter.ts";

function meterAt(start = 0) {
  const clock = { nowMs: start };
  return { clock, meter: new JudgingMeter(() => clock.nowMs) };
}
const root = newId("key");
const subKey = () => {
  const keyId = newId("key");
  return { keyId, lineage: [root, keyId] };
};
const ROOT = { keyId: root, lineage: [root] };

describe("the judging that a key may cause", () => {
  it("is enough for a request of maximal cost, and refills with time", () => {
    const { meter, clock } = meterAt();
    const first = meter.shareOf(ROOT);
    first.spend(MAX_STEPS - 1);
    expect(first.isExhausted).toBe(false);
    first.spend(1);
    expect(meter.shareOf(ROOT).isExhausted).toBe(true);
    clock.nowMs += 1_000;
    const second = meter.shareOf(ROOT);
    expect(second.isExhausted).toBe(false);
    second.spend(STEPS_PER_SECOND);
    expect(second.isExhausted).toBe(true);
  });

  it("saves up no more than a request of maximal cost needs", () => {
    const { meter, clock } = meterAt();
    expect(meter.shareOf(ROOT).isExhausted).toBe(false);
    clock.nowMs += 86_400_000;
    const share = meter.shareOf(ROOT);
    share.spend(MAX_STEPS);
    expect(share.isExhausted).toBe(true);
  });

  it("is one budget for a tree of keys, however many are minted", () => {
    const { meter } = meterAt();
    const shares = Array.from({ length: 1_000 }, () => meter.shareOf(subKey()));
    for (const share of shares) share.spend(MAX_STEPS / 1_000);
    expect(meter.shareOf(subKey()).isExhausted).toBe(true);
    expect(meter.shareOf(ROOT).isExhausted).toBe(true);
    const other = newId("key");
    expect(meter.shareOf({ keyId: other, lineage: [other] }).isExhausted).toBe(false);
  });

  it("leaves half of the budget of a tree to its other keys", () => {
    const { meter, clock } = meterAt();
    const greedy = subKey();
    meter.shareOf(greedy).spend(MAX_STEPS);
    for (let second = 0; second < 100; second++) {
      clock.nowMs += 1_000;
      const share = meter.shareOf(greedy);
      while (!share.isExhausted) share.spend(STEPS_PER_SECOND / 100);
    }
    expect(meter.shareOf(greedy).isExhausted).toBe(true);
    const other = meter.shareOf(subKey());
    other.spend(STEPS_PER_SECOND / 2);
    expect(other.isExhausted).toBe(false);
  });

  it("has a wait until steps are left, or until twice the used steps are", () => {
    const { meter, clock } = meterAt();
    meter.shareOf(ROOT).spend(MAX_STEPS + STEPS_PER_SECOND);
    expect(meter.shareOf(ROOT).waitMs).toBe(1_000);
    clock.nowMs += 2_000;
    const share = meter.shareOf(ROOT);
    share.spend(STEPS_PER_SECOND);
    expect(share.waitMs).toBe(2_000);
  });

  it("is counted for answers, which are never stopped", () => {
    const { meter } = meterAt();
    const { unstopped } = meter.shareOf(ROOT);
    unstopped.spend(MAX_STEPS);
    expect(unstopped.isExhausted).toBe(false);
    expect(meter.shareOf(ROOT).isExhausted).toBe(true);
  });

  it("drops the least recently used buckets, never that of a root key whose sub-keys call", () => {
    const { meter } = meterAt();
    meter.shareOf(ROOT).spend(MAX_STEPS);
    for (let minted = 0; minted < 20_000; minted++) meter.shareOf(subKey());
    expect(meter.shareOf(ROOT).isExhausted).toBe(true);
  });
});
