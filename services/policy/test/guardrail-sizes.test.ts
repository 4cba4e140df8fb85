import { toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import {
  BindingMode,
  BudgetWindow,
  EffectivePolicyService,
  EnforcementService,
  GetEffectivePolicyResponseSchema,
  ListAppliedGuardrailsResponseSchema,
  ListGuardrailsResponseSchema,
  PrincipalType,
} from "@routeplane/contracts/policy";
import { compileRules } from "@routeplane/guardrails";
import { newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, startPolicyUnderTest, type TestNamespace } from "./policy-under-test.ts";

/** Maximum bytes of a response that another service, or a gRPC client, accepts. */
const READ_BYTES = 4 << 20;

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const wide = (count: number, chars: number) =>
  Array.from({ length: count }, (_, n) => `${n}-`.padEnd(2 * chars, "\u{1F600}").slice(0, 2 * chars - 20));

/** Largest guardrail that the contract allows, of `\u{1F600}`, which takes 4 bytes. */
function largest(seed: string) {
  return {
    modelAllow: { models: wide(100, 250).map((model) => `${seed}${model}`) },
    modelDeny: { models: wide(100, 250).map((model) => `${seed}${model}`) },
    contentPatterns: wide(20, 30).map((name, n) => ({ name, pattern: `${seed}${n}[${"\u{1F600}".repeat(240)}]` })),
  };
}

const MODES = [BindingMode.ENFORCE, BindingMode.SHADOW];
const SMALL = { modelAllow: { models: ["gpt-*"] } };
/** Compiles to about 1,000 instructions, of which a guardrail can have 50 by its number of patterns alone. */
const heavy = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ name: `p${n}`, pattern: `k${n}[a-z]{1,${400 + n}}` }));

function principalOf(own: TestNamespace, keyId?: string) {
  return keyId === undefined
    ? { principalType: PrincipalType.NAMESPACE, principalId: own.namespaceId }
    : { principalType: PrincipalType.API_KEY, principalId: keyId };
}

async function guardrail(own: TestNamespace, spec: object, on: ReturnType<typeof principalOf>[] = []) {
  const { policy: made } = await own.guardrails.createGuardrail({ name: newId("pol"), spec, bindTo: on });
  return made?.id ?? "";
}

/** Number of transactions that wait for a lock, read in a transaction of its own: one sees the activity as it was at its first look. */
async function waitingForLocks(): Promise<number> {
  const { rows } = await policy.admin.within({}, (tx) =>
    sql<{ count: number }>`
      select count(*)::int as count from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`.execute(tx),
  );
  return rows[0]?.count ?? 0;
}

const applied = (lineage: readonly string[], namespaceId: string) =>
  createClient(EnforcementService, policy.asService(policy.transport)).listAppliedGuardrails({
    namespaceId,
    lineage: [...lineage],
  });

describe("a list of the largest guardrails", () => {
  it("comes in pages that every reader accepts, and is complete", async () => {
    const own = policy.newNamespace();
    const ids: string[] = [];
    for (let n = 0; n < 25; n++) ids.push(await guardrail(own, largest(`${n}`)));
    const read: string[] = [];
    let [pageToken, pages] = ["", 0];
    do {
      const page = await own.guardrails.listGuardrails({ pageSize: 1_000, pageToken });
      expect(toBinary(ListGuardrailsResponseSchema, page).length).toBeLessThan(READ_BYTES);
      read.push(...page.policies.map(({ id }) => id));
      pageToken = page.nextPageToken;
      pages++;
    } while (pageToken !== "");
    expect(read).toEqual(ids);
    expect(pages).toBeGreaterThan(2);
  });
});

describe("the guardrails that apply to a key", () => {
  it("are bounded by bytes: bound ones fit into a response, and the next one is refused with the sum", async () => {
    const own = policy.newNamespace();
    const sub = policy.key(own.namespaceId, own.key);
    const places = [undefined, own.key.id, sub.id];
    let error: Awaited<ReturnType<typeof refusal>> | undefined;
    for (let n = 0; error === undefined; n++) {
      const on = [principalOf(own, places[n % 3])];
      const made = await own.guardrails.createGuardrail({ name: `g${n}`, spec: largest(`${n}`), bindTo: on }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (made !== undefined) error = await refusal(Promise.reject(made));
    }
    expect(error).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED" });
    expect(error.message).toMatch(/guardrails that apply to (key|ns)_\w+ would take \d+ bytes together, more than \d+/);
    const guardrails = await applied(sub.lineage, own.namespaceId);
    expect(guardrails.guardrails.length).toBeGreaterThan(3);
    expect(toBinary(ListAppliedGuardrailsResponseSchema, guardrails).length).toBeLessThan(READ_BYTES);
    const effective = await createClient(EffectivePolicyService, policy.transportAs(own.key.token)).getEffectivePolicy(
      principalOf(own, sub.id),
    );
    expect(toBinary(GetEffectivePolicyResponseSchema, effective).length).toBeLessThan(READ_BYTES);
  });

  it("are bounded by the compiled size of their patterns, over the namespace, the key and those above it", async () => {
    const own = policy.newNamespace();
    const [parent, other] = [policy.key(own.namespaceId, own.key), policy.key(own.namespaceId, own.key)];
    const sub = policy.key(own.namespaceId, parent);
    await guardrail(own, { contentPatterns: heavy(12) }, [principalOf(own, sub.id)]);
    await guardrail(own, { contentPatterns: heavy(12) }, [principalOf(own, own.key.id)]);
    const more = await guardrail(own, { contentPatterns: heavy(12) });
    for (const at of [undefined, parent.id, sub.id, own.key.id]) {
      const error = await refusal(own.policies.bindPolicy({ policyId: more, ...principalOf(own, at) }));
      expect(error).toMatchObject({ reason: "LIMIT_REACHED", metadata: { principal_id: sub.id, limit: "20000" } });
      expect(error.message).toMatch(/compile to 2\d{4} instructions together/);
    }
    await own.policies.bindPolicy({ policyId: more, ...principalOf(own, other.id) });
    for (const { lineage } of [sub, other]) {
      const { guardrails } = await applied(lineage, own.namespaceId);
      await compileRules(
        guardrails
          .flatMap(({ spec }) => spec?.contentPatterns ?? [])
          .map(({ pattern }) => ({ pattern, action: "block" as const })),
      );
    }
  });

  it("are bounded by the number of patterns, also for an update and a preset, but a reduction is always accepted", async () => {
    const own = policy.newNamespace();
    const many = (count: number) => Array.from({ length: count }, (_, n) => ({ name: `p${n}`, pattern: `x${n}` }));
    const on = [principalOf(own)];
    for (let n = 0; n < 9; n++) await guardrail(own, { contentPatterns: many(50) }, on);
    const { policy: preset } = await own.presets.createPreset({
      name: "preset",
      spec: { guardrail: { contentPatterns: many(49) } },
      bindTo: on,
    });
    const last = await guardrail(own, { contentPatterns: many(1) }, on);
    const id = preset?.id ?? "";
    const grow = own.guardrails.updateGuardrail({ id: last, contentPatterns: many(2) });
    expect(await refusal(grow)).toMatchObject({ reason: "LIMIT_REACHED", metadata: { sum: "501", limit: "500" } });
    const atOnce = own.presets.updatePreset({ id, guardrail: { contentPatterns: many(50) } });
    expect(await refusal(atOnce)).toMatchObject({ metadata: { sum: "501" } });
    await own.guardrails.updateGuardrail({ id: last, name: "renamed" });
    await own.presets.updatePreset({ id, guardrail: { contentPatterns: many(48) } });
    await own.guardrails.updateGuardrail({ id: last, contentPatterns: many(2) });
  });

  it("stay within the bounds when two are bound at the same moment, also if one is in shadow mode or disabled", async () => {
    const own = policy.newNamespace();
    const sub = policy.key(own.namespaceId, own.key);
    const ids = await Promise.all(Array.from({ length: 4 }, () => guardrail(own, { contentPatterns: heavy(12) })));
    await own.policies.disablePolicy({ id: ids[0] ?? "" });
    const bindAll = () =>
      Promise.allSettled(
        ids.map((policyId, n) => {
          const on = principalOf(own, [sub.id, own.key.id, undefined][n % 3]);
          return own.policies.bindPolicy({ policyId, ...on, mode: MODES[n % 2] ?? BindingMode.ENFORCE });
        }),
      );
    // No transaction can commit until all of them are blocked or done.
    const binding = await policy.admin.within({}, async (tx) => {
      await sql`select from changes for update`.execute(tx);
      const outcomes = bindAll();
      await eventually(async () => (await waitingForLocks()) >= ids.length);
      return { outcomes };
    });
    const outcomes = await binding.outcomes;
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
  });

  it("are bounded for a key whose lineage only some of its bindings record, as those of an early release do not", async () => {
    const own = policy.newNamespace();
    const parent = policy.key(own.namespaceId, own.key);
    const sub = policy.key(own.namespaceId, parent);
    const on = [principalOf(own, sub.id)];
    for (let n = 0; n < 2; n++) await guardrail(own, SMALL, on);
    await policy.tamper(sql`update bindings set principal_lineage = '{}' where principal_id = ${sub.id}`);
    for (let n = 0; n < 2; n++) await guardrail(own, { contentPatterns: heavy(12) }, on);
    const more = guardrail(own, { contentPatterns: heavy(12) }, [principalOf(own, parent.id)]);
    expect(await refusal(more)).toMatchObject({ reason: "LIMIT_REACHED", metadata: { principal_id: sub.id } });
    await guardrail(own, SMALL, [principalOf(own, parent.id)]);
  });

  it("do not block other policies", async () => {
    const own = policy.newNamespace();
    for (let n = 0; n < 2; n++) await guardrail(own, { contentPatterns: heavy(12) }, [principalOf(own)]);
    await own.budgets.createBudget({
      name: "b",
      spec: { window: BudgetWindow.DAY, limitMicroUsd: 5n },
      bindTo: [principalOf(own)],
    });
    await guardrail(own, SMALL, [principalOf(own)]);
  });
});

it("refuses a guardrail whose patterns compile to more than a gateway runs, naming the sum", async () => {
  const own = policy.newNamespace();
  const error = await refusal(own.guardrails.createGuardrail({ name: "g", spec: { contentPatterns: heavy(50) } }));
  expect(error).toMatchObject({ code: Code.InvalidArgument, fields: ["spec.content_patterns"] });
  expect(error.message).toMatch(/compile to \d+ instructions together, more than 20000/);
  const id = await guardrail(own, SMALL);
  expect((await refusal(own.guardrails.updateGuardrail({ id, contentPatterns: heavy(50) }))).fields).toEqual([
    "content_patterns",
  ]);
});
