import { Code } from "@connectrpc/connect";
import { BudgetWindow } from "@routeplane/contracts/policy";
import { foldName, newId } from "@routeplane/domain";
import { migrateToLatest, openDatabase } from "@routeplane/postgres";
import { cloneDatabase } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrations } from "../migrations/index.ts";
import type { PolicySchema } from "../src/store/schema.ts";
import { type PolicyUnderTest, refusal, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const budget = { window: BudgetWindow.DAY, limitMicroUsd: 5n };

describe("the name of a policy", () => {
  const equal = [
    ["Daily Cap", "daily cap"],
    ["caf\u00E9", "CAFE\u0301"],
    ["Straße", "STRASSE"],
    ["ΟΔΟΣ", "οδος"],
    ["ΟΔΟΣ.", "οδοσ."],
    ["ıstanbul", "ISTANBUL"],
    ["İ", "i\u0307"],
    ["ﬁne", "FINE"],
  ] as const;

  it.each(equal)(
    "%j is taken by %j, in create and in update, until that is deleted or renamed",
    async (taken, name) => {
      const own = policy.newNamespace();
      const first = await own.budgets.createBudget({ name: taken, spec: budget });
      expect(first.policy?.name).toBe(taken);
      const error = await refusal(own.budgets.createBudget({ name, spec: budget }));
      expect(error).toMatchObject({ code: Code.AlreadyExists, reason: "NAME_TAKEN", fields: ["name"] });
      const other = await own.budgets.createBudget({ name: "other", spec: budget });
      const id = other.policy?.id ?? "";
      expect(await refusal(own.budgets.updateBudget({ id, name }))).toMatchObject({ reason: "NAME_TAKEN" });
      await own.budgets.updateBudget({ id: first.policy?.id ?? "", name });
      await own.budgets.updateBudget({ id: first.policy?.id ?? "", name: "free again" });
      await own.budgets.updateBudget({ id, name: taken });
      await policy.newNamespace().budgets.createBudget({ name, spec: budget });
    },
  );

  it("is folded by Postgres as by the command line", async () => {
    const texts = [
      ...equal.flat(),
      "①",
      "Ǆ",
      "ﬃ",
      "ẞ",
      "Σ",
      "ΑΣ",
      "ᾳ",
      "Ꭰ",
      "ꮀ",
      "𐐀",
      "ŉ",
      "ǰ",
      "日本",
      "👍🏽",
      "a\u200Bb",
    ];
    const { rows } = await policy.admin.within({}, (tx) =>
      sql<{ text: string; folded: string }>`
        select text, normalize(lower(upper(normalize(text, NFC) collate "pg_unicode_fast")), NFC) as folded
        from unnest(${texts}::text[]) as text`.execute(tx),
    );
    for (const { text, folded } of rows) expect([text, folded]).toEqual([text, foldName(text)]);
  });

  it("is refused if nothing of it is visible, like that of a content pattern or a model", async () => {
    const own = policy.newNamespace();
    for (const name of ["\u3164", "\u200B\u200B", "\u2800", "\uFE0F", "\u202E", "\u{E0041}", "\u034F \u00AD"]) {
      expect((await refusal(own.budgets.createBudget({ name, spec: budget }))).fields).toEqual(["name"]);
      const contentPatterns = [{ name, pattern: "a" }];
      expect((await refusal(own.guardrails.createGuardrail({ name: "g", spec: { contentPatterns } }))).fields).toEqual([
        "spec.content_patterns[0].name",
      ]);
      const modelAllow = { models: [name] };
      expect((await refusal(own.guardrails.createGuardrail({ name: "g", spec: { modelAllow } }))).fields).toEqual([
        "spec.model_allow.models[0]",
      ]);
    }
  });
});

it("the migration renames all but the oldest of policies whose names became equal, and measures guardrails", async () => {
  const clone = await cloneDatabase();
  const admin = openDatabase<PolicySchema>({
    url: clone.adminUrlOf("policy"),
    schema: "policy",
    applicationName: "policy-test",
  });
  const migrate = (to: typeof migrations) =>
    migrateToLatest({ url: clone.url("routeplane_policy_owner"), schema: "policy", migrations: to });
  try {
    await admin.within({}, async (tx) => {
      await sql`drop schema policy cascade`.execute(tx);
      await sql`create schema policy authorization routeplane_policy_owner`.execute(tx);
      await sql`grant usage on schema policy to routeplane_policy`.execute(tx);
    });
    await migrate(Object.fromEntries(Object.entries(migrations).filter(([name]) => name < "0011")));
    const namespaceId = newId("ns");
    const names = ["CAP", "cap", "Cap", "é", "e\u0301", "x".repeat(100), "X".repeat(100), "alone"];
    const ids = names.map(() => newId("pol"));
    const guardrail = {
      content_patterns: [
        { name: "a", pattern: "abc" },
        { name: "b", pattern: "x{10}" },
      ],
      model_deny: ["m"],
    };
    await admin.within({}, async (tx) => {
      for (const [index, name] of names.entries()) {
        const [kind, spec] =
          index === 7 ? ["preset", { guardrail }] : ["budget", { window: "day", limit_micro_usd: 1 }];
        await sql`insert into policies (namespace_id, id, name, kind, spec, created_at)
          values (${namespaceId}, ${ids[index]}, ${name}, ${kind}, ${JSON.stringify(spec)}, now() + ${index} * interval '1 second')`.execute(
          tx,
        );
      }
    });
    await migrate(migrations);
    const { rows } = await admin.within({}, (tx) =>
      sql<{ name: string; patterns: number; instructions: number; bytes: number }>`
        select name, guardrail_patterns as patterns, guardrail_instructions as instructions, guardrail_bytes as bytes
        from policies order by created_at`.execute(tx),
    );
    const renamed = (index: number) => `${names[index]?.slice(0, 60)} (${ids[index]})`;
    const expected = [names[0], renamed(1), renamed(2), names[3], renamed(4), names[5], renamed(6), names[7]];
    expect(rows.map(({ name }) => name)).toEqual(expected);
    expect(new Set(rows.map(({ name }) => foldName(name))).size).toBe(names.length);
    expect(rows.at(0)).toMatchObject({ patterns: 0, instructions: 0, bytes: 0 });
    expect(rows.at(-1)).toMatchObject({ patterns: 2, instructions: expect.toSatisfy((n: number) => n > 12 && n < 25) });
    expect(rows.at(-1)?.bytes).toBeGreaterThan(700 * 13);
  } finally {
    await admin.stop();
    await clone.drop();
  }
});
