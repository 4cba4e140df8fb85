import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { AuditService, KeyService } from "@routeplane/contracts/auth";
import { AuditService as PolicyAuditService } from "@routeplane/contracts/policy";
import { AuditService as UsageAuditService, UsageAdminService, UsageService } from "@routeplane/contracts/usage";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

interface Range {
  readonly from?: Timestamp | undefined;
  readonly to?: Timestamp | undefined;
}

/** Ranges and expiries in calls, in milliseconds since the Unix epoch. */
let ranges: { from: number | undefined; to: number | undefined }[] = [];
let expiries: number[] = [];
let node: FakeNode;

const ms = (time: Timestamp | undefined): number | undefined => time && timestampDate(time).getTime();

function record({ from, to }: Range = {}): never {
  ranges.push({ from: ms(from), to: ms(to) });
  throw refusal(Code.NotFound, "RESOURCE_NOT_FOUND", "refused by the test");
}

function recordExpiry({ expiresAt }: { expiresAt?: Timestamp | undefined }): never {
  expiries.push(ms(expiresAt) ?? 0);
  throw refusal(Code.NotFound, "RESOURCE_NOT_FOUND", "refused by the test");
}

function routes(router: ConnectRouter): void {
  const listAuditEntries = ({ filter }: { filter?: Range | undefined }) => record(filter);
  router.service(AuditService, { listAuditEntries });
  router.service(PolicyAuditService, { listAuditEntries });
  router.service(UsageAuditService, { listAuditEntries });
  router.service(UsageService, {
    getUsage: record,
    listRequests: ({ filter }) => record(filter),
    // eslint-disable-next-line require-yield
    async *watchRequests({ filter }) {
      record(filter);
    },
  });
  router.service(UsageAdminService, { getNodeUsage: record });
  router.service(KeyService, { mintKey: recordExpiry, updateKey: recordExpiry });
}

beforeAll(async () => {
  node = await startFakeNode(routes);
});
afterAll(() => node[Symbol.asyncDispose]());
beforeEach(() => {
  ranges = [];
  expiries = [];
});

const cloud = (line: string) =>
  runCli(["cloud", ...line.split(" ")], {
    ROUTEPLANE_URL: node.url,
    ROUTEPLANE_API_KEY: "rp_live_x",
    ROUTEPLANE_OPERATOR_KEY: "rpo_live_x",
    ROUTEPLANE_HOME: "/nonexistent",
  });

const WITH_RANGE = [
  "usage",
  "usage --all-namespaces",
  "requests",
  "requests --follow",
  "requests export --format csv",
  "audit list --action key.revoke",
];

it.each(WITH_RANGE)("`%s` takes spans before now, also by --since", async (command) => {
  const now = Date.now();
  await cloud(`${command} --from 30d --to 90m`);
  await cloud(`${command} --since 24h`);
  const [first, second] = ranges;
  expect(ranges).toHaveLength(2);
  const minutesAgo = (time: number | undefined): number => Math.round((now - (time ?? 0)) / 60_000);
  expect([minutesAgo(first?.from), minutesAgo(first?.to), minutesAgo(second?.from)]).toEqual([43_200, 90, 1_440]);
});

it.each(WITH_RANGE)("`%s` takes dates, in the time zone of the system or a given one", async (command) => {
  await cloud(`${command} --from 2026-05-01 --to 2026-06-01`);
  await cloud(`${command} --from 2026-05-01 --to 2026-06-01 --time-zone Europe/Berlin`);
  const [may, june, hour] = [Date.parse("2026-05-01T00:00:00Z"), Date.parse("2026-06-01T00:00:00Z"), 3_600_000];
  expect(ranges).toEqual([
    { from: may, to: june },
    { from: may - 2 * hour, to: june - 2 * hour },
  ]);
});

it("refuses a range that ends before it starts, however it is written, without a call", async () => {
  for (const range of ["--from 1h --to 2h", "--since 0s --to 2020-01-01", "--from 1h --to 1h"]) {
    const refused = await cloud(`requests ${range}`);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("--from must be before --to") });
  }
  expect(ranges).toEqual([]);
});

it("accepts the expiry of a key as a span or a date", async () => {
  const now = Date.now();
  await cloud("keys mint --name x --scope keys:read --expires-at 30d");
  await cloud("keys update key_1 --expires-at 2027-01-01");
  const [afterSpan = 0, atDate] = expiries;
  expect(Math.round((afterSpan - now) / 60_000)).toBe(43_200);
  expect(atDate).toBe(Date.parse("2027-01-01T00:00:00Z"));
});
