import { newId } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { toEntries } from "./entries.ts";
import type { Hold, HoldChange } from "./hold.ts";

const [day, total] = [newId("bnd"), newId("bnd")];
const windows = new Map([
  [day, "day" as const],
  [total, "total" as const],
]);
const now = new Date(Date.UTC(2026, 10, 23, 12, 5));
const bucketOfDay = new Date(Date.UTC(2026, 10, 23, 12, 0));

const hold: Hold = {
  requestId: newId("req"),
  bindingIds: [day, total],
  amountNano: 9n,
  outputTokensMax: 9n,
  expiresAt: now,
  state: "open",
  closedAt: undefined,
};
const closed = (charge: HoldChange["charge"], releaseNano = 9n) => ({
  hold,
  change: { state: "settled", costNano: undefined, releaseNano, charge } as const,
});

describe("the entries of closed holds", () => {
  it("are one for each budget and bucket, however many holds are on it", () => {
    const entries = toEntries([closed({ nano: 4n, at: now }), closed({ nano: 3n, at: now })], windows, now);
    expect(entries).toEqual({
      releases: [
        { bindingId: day, nano: 18n },
        { bindingId: total, nano: 18n },
      ],
      charges: [
        { bindingId: day, bucketStart: bucketOfDay, nano: 7n },
        { bindingId: total, bucketStart: new Date(0), nano: 7n },
      ],
      refunds: [],
    });
  });

  it("leave out what comes to nothing", () => {
    expect(toEntries([closed({ nano: 0n, at: now }, 0n)], windows, now)).toEqual({
      releases: [],
      charges: [],
      refunds: [],
    });
  });

  it("take nothing back from a bucket that counts no more", () => {
    const longAgo = new Date(now.getTime() - 25 * 3_600_000);
    const { refunds } = toEntries([closed({ nano: -5n, at: longAgo }, 0n)], windows, now);
    expect(refunds).toEqual([{ bindingId: total, bucketStart: new Date(0), nano: 5n }]);
  });

  it("leave out budgets that were unbound meanwhile", () => {
    const { charges } = toEntries([closed({ nano: 1n, at: now })], new Map([[day, "day" as const]]), now);
    expect(charges).toEqual([{ bindingId: day, bucketStart: bucketOfDay, nano: 1n }]);
  });
});
