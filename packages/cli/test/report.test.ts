import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { timestampDate, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { KeyService } from "@routeplane/contracts/auth";
import { RequestStatus, UsageDimension, UsageService } from "@routeplane/contracts/usage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const FROM = create(TimestampSchema, { seconds: 1_777_593_600n });
const TO = create(TimestampSchema, { seconds: 1_777_852_800n });
const THREE_DAYS_MS = 3 * 86_400_000;

/** Ranges that were read, each with the dimension of its groups. */
const read: string[] = [];

let node: FakeNode;
beforeAll(async () => {
  node = await startFakeNode((router) => {
    router.service(KeyService, { getKey: ({ id }) => ({ key: { id, name: `name of ${id}`, createdAt: FROM } }) });
    router.service(UsageService, {
      getUsage({ from, to, groupBy: [dimension], largest }) {
        const iso = (time: typeof from): string =>
          time === undefined ? "" : timestampDate(time).toISOString().slice(0, 10);
        read.push(`${iso(from)} ${iso(to)} ${dimension === undefined ? "" : UsageDimension[dimension]}`.trim());
        const range = { from: from ?? FROM, to: to ?? TO };
        const isBefore = from !== undefined && timestampDate(from) < timestampDate(FROM);
        const spends = [9n, 7n, 5n, 1n];
        const numbers = (spendMicroUsd: bigint) => ({ requestCount: 1n, spendMicroUsd });
        const groupOfKey = (spend: bigint) => ({ keyId: `key_${spend}`, requestCount: 1n, spendMicroUsd: spend });
        switch (dimension) {
          case UsageDimension.KEY:
            return {
              ...range,
              groups: [
                ...spends.slice(0, largest).map(groupOfKey),
                { restCount: 4n - BigInt(largest), ...numbers(6n) },
              ],
            };
          case UsageDimension.MODEL:
            return { ...range, groups: [{ model: "m", ...numbers(22n) }] };
          case UsageDimension.STATUS:
            return { ...range, groups: [{ status: RequestStatus.SUCCEEDED, ...numbers(22n) }] };
          case UsageDimension.DAY:
            return { ...range, groups: [{ day: FROM, ...numbers(22n) }] };
          default:
            return { ...range, requestCount: 4n, spendMicroUsd: isBefore ? 11n : 22n };
        }
      },
    });
  });
});
afterAll(() => node[Symbol.asyncDispose]());

const cli = (...argv: readonly string[]) =>
  runCli(argv, {
    ROUTEPLANE_HOME: "/nonexistent",
    ROUTEPLANE_URL: node.url,
    ROUTEPLANE_API_KEY: "rp_live_env",
    TZ: "UTC",
  });

describe("a report", () => {
  it("has the range that the node chose, the previous period of the same length, and the largest parts", async () => {
    const { stdout } = await cli("cloud", "report", "--top", "2", "--json");
    expect(read.splice(0).toSorted()).toEqual(
      [
        "",
        "2026-04-28 2026-05-01",
        ...["KEY", "MODEL", "STATUS", "DAY"].map((by) => `2026-05-01 2026-05-04 ${by}`),
      ].toSorted(),
    );
    const report = JSON.parse(stdout) as { from: string; previous: { from: string; to: string } };
    expect(report).toMatchObject({
      spend_micro_usd: 22,
      previous: { to: report.from, spend_micro_usd: 11 },
      keys: [
        { key_id: "key_9", key_name: "name of key_9" },
        { key_id: "key_7", key_name: "name of key_7" },
      ],
      models: [{ model: "m" }],
      statuses: [{ status: "succeeded" }],
      days: [{ day: "2026-05-01T00:00:00.000Z" }],
    });
    expect(Date.parse(report.previous.to) - Date.parse(report.previous.from)).toBe(THREE_DAYS_MS);
  });

  it("shows how much more was spent than before, and how many groups are left out", async () => {
    const { stdout } = await cli("cloud", "report", "--top", "2", "-o", "table");
    const spend = /^spend +22 micro-USD .*\nspend before +11 micro-USD \(\$0\.000011\); \+100 % since$/m;
    expect(stdout).toMatch(spend);
    expect(stdout).toMatch(/^name of key_9 .*\nname of key_7 .*\nTOTAL .*\n2 of 4 keys: --top 4 shows all$/m);
    expect(stdout).not.toContain("of 1 models");
  });

  it("has no previous period if the node no longer keeps its usage", async () => {
    await using node = await startFakeNode((router) => {
      router.service(UsageService, {
        getUsage({ from, to }) {
          if (from !== undefined && timestampDate(from) < timestampDate(FROM))
            throw refusal(Code.InvalidArgument, "FIELD_INVALID", "not kept", { kept_from: "2026-05-01T00:00:00.000Z" });
          return { from: from ?? FROM, to: to ?? TO, spendMicroUsd: 22n };
        },
      });
    });
    const home = { ROUTEPLANE_HOME: "/nonexistent", ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_env" };
    const json = await runCli(["cloud", "report", "--json"], home);
    expect(JSON.parse(json.stdout)).toMatchObject({ spend_micro_usd: 22, previous: null });
    const table = await runCli(["cloud", "report", "-o", "table"], home);
    expect(table.stdout).toMatch(/^spend before +not kept any more$/m);
  });

  it("refuses a range that ends before it starts, before any read", async () => {
    read.length = 0;
    expect(await cli("cloud", "report", "--from", "2026-05-02", "--to", "2026-05-01")).toMatchObject({ code: 2 });
    expect(read).toEqual([]);
  });
});
