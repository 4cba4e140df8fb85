import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { AUDIT_FILTER_NAMES, type AuditFilters, logsOf, toAuditFilter } from "./audit-filter.ts";

const NOW = Date.parse("2026-11-30T08:00:30Z");
const NONE = Object.fromEntries(AUDIT_FILTER_NAMES.map((name) => [name, ""])) as AuditFilters;

test("passes on each filter of the address, with an end only for a range of two times", () => {
  const filters = { ...NONE, actor: "key_1", action: "key.revoke", target: "key_2", range: "1h" };
  expect(toAuditFilter(filters, NOW)).toEqual({
    actorId: "key_1",
    action: "key.revoke",
    targetId: "key_2",
    from: timestampFromDate(new Date("2026-11-30T07:01:00Z")),
  });
  const fixed = { ...NONE, from: "2026-11-01T00:00:00Z", to: "2026-11-02T00:00:00Z" };
  expect(toAuditFilter(fixed, NOW).to).toEqual(timestampFromDate(new Date("2026-11-02T00:00:00Z")));
});

test("shows 30 days if no range is given", () => {
  expect(toAuditFilter(NONE, NOW).from).toEqual(timestampFromDate(new Date("2026-10-31T08:01:00Z")));
});

test("reads the log of the service that has the action, and all logs for an unknown action", () => {
  expect(logsOf("policy.update")).toEqual(["policy"]);
  expect(logsOf("dead_letter.replay")).toEqual(["usage"]);
  expect([logsOf(""), logsOf("policy")]).toEqual([
    ["auth", "policy", "usage"],
    ["auth", "policy", "usage"],
  ]);
});
