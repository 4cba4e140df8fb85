import type { ServiceImpl } from "@connectrpc/connect";
import { BudgetAdminService } from "@routeplane/contracts/policy";
import { DeadLetterState, UsageAdminService, UsageDimension } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";
import { UNKNOWN_LATENCIES } from "./unknown-latencies.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const DAY = "2026-05-01T00:00:00.000Z";

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
  ROUTEPLANE_OPERATOR_KEY: "rpo_live_env",
});

const admin = (
  implementation: Partial<ServiceImpl<typeof UsageAdminService>>,
  budgets: Partial<ServiceImpl<typeof BudgetAdminService>> = { reconcileBudgets: () => ({}) },
): Promise<FakeNode> =>
  startFakeNode((router) => {
    router.service(UsageAdminService, implementation);
    router.service(BudgetAdminService, budgets);
  });

describe.concurrent("usage --all-namespaces", () => {
  it("calls as the operator, and shows each namespace", async () => {
    let received: readonly UsageDimension[] = [];
    await using node = await admin({
      getNodeUsage({ groupBy }) {
        received = groupBy;
        const usage = { keyId: "key_1", requestCount: 2n, spendMicroUsd: 7n };
        return { from: AT, to: AT, requestCount: 2n, spendMicroUsd: 7n, groups: [{ namespaceId: "ns_1", usage }] };
      },
    });
    const argv = ["cloud", "usage", "--all-namespaces", "--group-by", "key"];
    const json = await runCli([...argv, "--json"], as(node.url));
    const denied = { denied_count: 0, denied_unlogged_count: 0, ...UNKNOWN_LATENCIES };
    const numbers = { request_count: 2, prompt_tokens: 0, completion_tokens: 0, spend_micro_usd: 7, ...denied };
    const groups = [{ namespace_id: "ns_1", namespace_name: null, key_id: "key_1", key_name: null, ...numbers }];
    expect(JSON.parse(json.stdout)).toEqual({ from: DAY, to: DAY, ...numbers, groups });
    expect({ received, authorizations: node.authorizations }).toEqual({
      received: [UsageDimension.KEY],
      authorizations: ["Bearer rpo_live_env", "Bearer rpo_live_env"],
    });
    expect((await runCli([...argv, "-o", "table"], as(node.url))).stdout).toMatch(
      /^ns_1 +ns_1 +key_1 +key_1 +2 +0 +0 +\$0\.000007 +█{16}$/m,
    );
    expect(await runCli([...argv, "--model", "small"], as(node.url))).toMatchObject({ code: 2 });
  });
});

describe.concurrent("admin reconcile", () => {
  it("reads every page, prints each difference, and exits with 1 if there is one", async () => {
    const group = { hour: AT, keyId: "key_1", model: "small", provider: "echo", status: 2 };
    await using node = await admin({
      reconcileUsage({ pageToken, to }) {
        const page = { from: AT, ...(to && { to }), namespaceCount: 1 };
        if (pageToken === "") return { ...page, nextPageToken: "t1" };
        const kept = { ...group, requestCount: 2n, spendMicroUsd: 9n };
        return { ...page, differences: [{ namespaceId: "ns_1", kept, expected: { ...group, requestCount: 1n } }] };
      },
    });
    const json = await runCli(["admin", "reconcile", "--to", "2026-06-01T00:00:00Z", "--json"], as(node.url));
    expect(json.code).toBe(1);
    const denied = { denied_count: 0, denied_unlogged_count: 0, ...UNKNOWN_LATENCIES };
    const none = { prompt_tokens: 0, completion_tokens: 0, ...denied };
    expect(JSON.parse(json.stdout)).toEqual({
      from: DAY,
      to: "2026-06-01T00:00:00.000Z",
      kept_from: null,
      namespace_count: 2,
      differences: [
        {
          namespace_id: "ns_1",
          hour: DAY,
          day: null,
          five_minutes: null,
          key_id: "key_1",
          model: "small",
          provider: "echo",
          status: "succeeded",
          kept: { request_count: 2, spend_micro_usd: 9, ...none },
          expected: { request_count: 1, spend_micro_usd: 0, ...none },
        },
      ],
      budgets: {
        compared_from: null,
        namespace_count: 0,
        request_count: 0,
        running_count: 0,
        service_count: 0,
        counter_count: 0,
        partial_counter_count: 0,
        charges: [],
        counters: [],
        sessions: [],
      },
    });
    expect((await runCli(["admin", "reconcile"], as(node.url))).stdout).toMatch(/^ns_1 .* 2\/0\/0\/9 +1\/0\/0\/0$/m);
  });

  it("reads every page of budgets over the range of usage, and exits with 1 if only budgets differ", async () => {
    const charge = { keyId: "key_1", requestId: "req_1", budgetMicroUsd: 6n, holdState: "settled", logMicroUsd: 5n };
    const counter = { policyId: "pol_1", bindingId: "bnd_1", quantity: "spent", countedMicroUsd: 9n };
    const received: unknown[] = [];
    await using node = await admin(
      { reconcileUsage: () => ({ from: AT, to: AT }) },
      {
        reconcileBudgets({ from, to, pageToken }) {
          received.push([from?.seconds, to?.seconds, pageToken]);
          const page = { comparedFrom: AT, namespaceCount: 1, requestCount: 2n, counterCount: 1n, serviceCount: 3n };
          return pageToken === ""
            ? {
                ...page,
                differences: [{ namespaceId: "ns_1", subject: { case: "charge", value: charge } }],
                nextPageToken: "t1",
              }
            : { ...page, differences: [{ namespaceId: "ns_1", subject: { case: "counter", value: counter } }] };
        },
      },
    );
    const json = await runCli(["admin", "reconcile", "--json"], as(node.url));
    expect(json.code).toBe(1);
    expect(received).toEqual([
      [AT.seconds, AT.seconds, ""],
      [AT.seconds, AT.seconds, "t1"],
    ]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      differences: [],
      budgets: {
        compared_from: DAY,
        namespace_count: 2,
        request_count: 4,
        running_count: 0,
        service_count: 6,
        counter_count: 2,
        partial_counter_count: 0,
        charges: [
          {
            namespace_id: "ns_1",
            key_id: "key_1",
            request_id: "req_1",
            budget_micro_usd: 6,
            hold_state: "settled",
            log_micro_usd: 5,
            request_status: null,
          },
        ],
        counters: [
          {
            namespace_id: "ns_1",
            policy_id: "pol_1",
            binding_id: "bnd_1",
            quantity: "spent",
            counted_micro_usd: 9,
            expected_micro_usd: 0,
            expected_micro_usd_max: null,
            since: null,
          },
        ],
      },
    });
    const { stdout, stderr } = await runCli(["admin", "reconcile"], as(node.url));
    expect(stdout).toMatch(/^ns_1 +key_1 +req_1 +6 settled +5 -$/m);
    expect(stdout).toMatch(/^ns_1 +pol_1 +bnd_1 +spent +9 +0 to \?$/m);
    expect(stderr).toContain("2 differences in budgets: 4 requests");
  });

  it("ends with 0 if there is none", async () => {
    await using node = await admin({ reconcileUsage: () => ({ from: AT, to: AT, namespaceCount: 3, keptFrom: AT }) });
    const { code, stdout, stderr } = await runCli(["admin", "reconcile"], as(node.url));
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toContain("0 differences in 3 namespaces");
    expect(stderr).toContain(`Requests from before ${DAY} are not kept`);
    expect(stderr).toContain("was not compared");
  });
});

describe.concurrent("admin dead-letters", () => {
  const LETTER = { id: "dl_1", state: DeadLetterState.HELD, reason: "cost: \u001b[2J", createdAt: AT };
  const VIEW = {
    id: "dl_1",
    state: "held",
    reason: LETTER.reason,
    namespace_id: null,
    request_id: null,
    created_at: DAY,
    changed_at: null,
    changed_by: null,
  };

  it("list: sends the filter, and escapes control characters for people", async () => {
    let received: DeadLetterState | undefined;
    await using node = await admin({
      listDeadLetters({ state }) {
        received = state;
        return { deadLetters: [LETTER], nextPageToken: "t2" };
      },
    });
    const argv = ["admin", "dead-letters", "list", "--state", "held", "--limit", "1"];
    const json = await runCli([...argv, "--json"], as(node.url));
    expect(JSON.parse(json.stdout)).toEqual({ data: [VIEW], next_page_token: "t2" });
    expect(received).toBe(DeadLetterState.HELD);
    const text = await runCli(argv, as(node.url));
    expect(text.stdout).toContain("cost: \\u001b[2J");
    expect(text.stderr).toContain("--page-token t2");
  });

  it("show: prints the content, or its bytes if it cannot be read", async () => {
    const events = [{ request: { requestId: "req_1" } }];
    await using node = await admin({
      getDeadLetter: ({ id }) => ({
        deadLetter: { ...LETTER, payload: new Uint8Array([1, 2]), ...(id === "dl_1" && { content: { events } }) },
      }),
    });
    const show = (id: string) => runCli(["admin", "dead-letters", "get", id, "--json"], as(node.url));
    expect(JSON.parse((await show("dl_1")).stdout)).toEqual({ ...VIEW, content: { events }, payload_base64: "AQI=" });
    expect(JSON.parse((await show("dl_2")).stdout)).toMatchObject({ content: null, payload_base64: "AQI=" });
  });

  it("replay and discard: print the new state, and do not ask without a terminal", async () => {
    await using node = await admin({
      replayDeadLetter: () => ({ deadLetter: { ...LETTER, state: DeadLetterState.REPLAYING } }),
      discardDeadLetter: () => ({ deadLetter: { ...LETTER, state: DeadLetterState.DISCARDED, changedBy: "op_1" } }),
    });
    const replay = await runCli(["admin", "dead-letters", "replay", "dl_1", "--json"], as(node.url));
    expect(JSON.parse(replay.stdout)).toEqual({ ...VIEW, state: "replaying" });
    const discard = await runCli(["admin", "dead-letters", "discard", "dl_1", "--json"], as(node.url));
    expect(JSON.parse(discard.stdout)).toEqual({ ...VIEW, state: "discarded", changed_by: "op_1" });
  });
});
