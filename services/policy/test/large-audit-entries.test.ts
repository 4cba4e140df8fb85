import { createClient } from "@connectrpc/connect";
import { createAuditStore } from "@routeplane/audit";
import { AuditService } from "@routeplane/contracts/policy";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type PolicyUnderTest, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const MAX_BYTES = 2 << 20;
const ENTRIES = 60;

/** Adds entries of 200,000 characters each, older and newer than one of a few characters. */
async function largeEntries(namespaceId: string): Promise<void> {
  await policy.tamper(sql`
    insert into audit_entries
      (namespace_id, id, account_id, created_at, actor_type, actor_id, action, target_id, before, after, request_id, address)
    select ${namespaceId}, new_audit_id(), '', now(), 'api_key', '', 'policy.update', '',
      jsonb_build_object('spec', repeat('x', case when n = 30 then 1 else 100000 end)),
      jsonb_build_object('spec', repeat('y', case when n = 30 then 1 else 100000 end)), '', ''
    from generate_series(1, ${ENTRIES}::int) n`);
}

it("a page of large audit entries reads little more than it returns, and pages skip and repeat nothing", async () => {
  const { namespaceId, key } = policy.newNamespace(["audit:read"]);
  await largeEntries(namespaceId);
  const none = { id: undefined, actorId: undefined, action: undefined, targetId: undefined, namespaceId: undefined };
  const query = { ...none, from: undefined, to: undefined, before: undefined, size: 1_000, maxBytes: MAX_BYTES };
  const { rows, hasMore } = await createAuditStore(policy.database).list({ namespaceId }, query);
  expect(hasMore).toBe(true);
  expect(rows.length).toBeLessThan(ENTRIES);
  const audit = createClient(AuditService, policy.transportAs(key.token));
  const ids: string[] = [];
  for (let pageToken = ""; ;) {
    const page = await audit.listAuditEntries({ pageSize: 1_000, pageToken });
    ids.push(...page.entries.map(({ id }) => id));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  expect(ids).toHaveLength(ENTRIES);
  expect(ids).toEqual([...new Set(ids)].toSorted().toReversed());
});
