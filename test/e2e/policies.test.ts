import { eventually } from "@routeplane/testing";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf, type List } from "./json-cli.ts";

/** Tests of policies of every kind through the command line, on a real node. */

interface Policy {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly disabled_at: string | null;
  readonly etag: string;
  readonly created_by: string | null;
  readonly binding_count: number;
  readonly bound_to: readonly object[];
}
interface Binding {
  readonly id: string;
  readonly principal_type: string;
  readonly principal_id: string;
  readonly mode: string;
}

let node: TestNode;
let cli: Cli;
let folder: string;
let self: { key: { id: string }; namespace: { id: string } };
beforeAll(async () => {
  [node, folder] = await Promise.all([startNode(), mkdtemp(join(tmpdir(), "routeplane-policies-"))]);
  cli = cliOf(node);
  self = await cli.json("cloud", "whoami");
});
afterAll(async () => {
  await node.remove();
  await rm(folder, { recursive: true });
});

async function file(spec: unknown): Promise<string> {
  const path = join(folder, `${Math.random()}.json`);
  await writeFile(path, JSON.stringify(spec));
  return path;
}

const policy = <T>(...argv: string[]) => cli.json<T>("cloud", "policy", ...argv);
const create = async (name: string, kind: string, spec: unknown) =>
  policy<Policy>("create", "--name", name, "--kind", kind, "--spec", await file(spec));
const onKey = (id: string) => ["--principal-type", "api_key", "--principal-id", id];
const mint = (name: string, scope: string) =>
  cli.json<{ id: string; token: string }>("cloud", "keys", "mint", "--name", name, "--scope", scope);

const SPECS = {
  budget: { window: "day", limit_micro_usd: 9_000_000_000_000_000 },
  rate_limit: { window_secs: 60, max_requests: 100, max_tokens: 50_000, max_concurrent: 5 },
  guardrail: {
    model_allow: ["openai/*", "echo"],
    model_deny: ["*-preview"],
    max_request_tokens: 8192,
    allow_streaming: false,
    content_patterns: [{ name: "card", pattern: "\\b\\d{16}\\b", action: "redact", applies_to: "response" }],
  },
  preset: { guardrail: { model_allow: [] }, rate_limit: { window_secs: 1, max_concurrent: 1 } },
};

describe("a policy of each kind", () => {
  it.each(Object.entries(SPECS))(
    "%s: is created, read, listed, replaced, disabled, enabled and deleted",
    async (kind, spec) => {
      const created = await create(`a ${kind}`, kind, spec);
      expect(created).toEqual({
        id: created.id,
        name: `a ${kind}`,
        kind,
        spec,
        disabled_at: null,
        etag: created.etag,
        created_by: self.key.id,
        binding_count: 0,
        key_binding_count: 0,
        shadow_binding_count: 0,
        bound_to: [],
      });
      expect(await policy("get", created.id)).toEqual(created);
      expect((await policy<List<Policy>>("list", "--kind", kind)).data).toEqual([created]);
      const text = await cli("cloud", "policy", "list", "--kind", kind, "-o", "table");
      const [header = "", row = ""] = text.stdout.split("\n");
      expect(row.indexOf(`  ${kind} `) + 2).toBe(header.indexOf("KIND"));
      expect(row.indexOf("not bound")).toBe(header.indexOf("BOUND TO"));

      const renamed = await policy<Policy>("update", created.id, "--name", `the ${kind}`, "--etag", created.etag);
      expect(renamed).toMatchObject({ name: `the ${kind}`, spec });
      const stale = await cli.error("cloud", "policy", "update", created.id, "--name", "x", "--etag", created.etag);
      expect(stale).toMatchObject({ exitCode: 1, code: "aborted", reason: "ETAG_MISMATCH" });
      const replaced = await policy<Policy>("update", created.id, "--spec", await file(spec));
      expect(replaced).toMatchObject({ spec, name: `the ${kind}` });

      expect((await policy<Policy>("disable", created.id)).disabled_at).toMatch(/Z$/);
      expect((await policy<Policy>("enable", created.id)).disabled_at).toBeNull();
      expect(await policy("delete", created.id, "--yes")).toEqual({ id: created.id, unbound: [] });
      expect(await cli.error("cloud", "policy", "get", created.id)).toMatchObject({ exitCode: 1, code: "not_found" });
    },
  );
});

describe("the commands of one kind", () => {
  it("create and bind a budget in one step, update single fields, and delete it", async () => {
    const sub = await mint("capped", "inference:invoke");
    const flags = ["--window", "day", "--limit-micro-usd", "5"];
    const bind = ["--bind-namespace", "--bind-key", sub.id];
    const created = await cli.json<Policy & { bindings: Binding[] }>(
      "cloud",
      "budget",
      "create",
      "--name",
      "cap",
      ...flags,
      ...bind,
    );
    expect(created.bindings).toMatchObject([
      { principal_type: "namespace", principal_id: self.namespace.id, mode: "enforce" },
      { principal_type: "api_key", principal_id: sub.id, mode: "enforce" },
    ]);
    const { bindings, ...view } = created;
    expect(await cli.json("cloud", "budget", "get", created.id)).toEqual(view);
    expect((await cli.json<List<Policy>>("cloud", "budget", "list")).data).toEqual([view]);
    expect(view).toMatchObject({ binding_count: 2, bound_to: [{ budget_use: { remaining_micro_usd: 5 } }, {}] });
    const [header, row] = (await cli("cloud", "budget", "list", "-o", "table")).stdout.split("\n");
    expect(header).toMatch(/^ID +NAME +STATUS +BOUND TO +SPENT +RESERVED +LEFT +SPEC$/);
    expect(row).toMatch(/ cap +enabled +namespace, 1 key +\$0\.00 +\$0\.00 +\$0\.000005 /);
    const shown = (await cli("cloud", "budget", "get", created.id)).stdout;
    expect(shown).toMatch(/^bound to +namespace ns_\w+ \(bnd_\w+\): \$0\.00 spent, \$0\.000005 left$/m);
    const changed = await cli.json<Policy>("cloud", "budget", "update", created.id, "--limit-micro-usd", "7");
    expect(changed.spec).toEqual({ window: "day", limit_micro_usd: 7 });
    const refused = await cli("cloud", "budget", "delete", created.id);
    expect(refused).toMatchObject({ exitCode: 2, stdout: "" });
    expect(refused.stderr).toContain(`namespace ${self.namespace.id}, api_key ${sub.id}`);
    expect(await cli.json("cloud", "budget", "delete", created.id, "--yes")).toEqual({
      id: created.id,
      unbound: bindings,
    });
  });

  it("update single fields of a guardrail, a rate limit and a preset", async () => {
    const rail = await cli.json<Policy>(
      "cloud",
      "guardrail",
      "create",
      "--name",
      "rail",
      "--redact",
      "card=\\d{16}",
      "--model-deny",
      "a,b",
    );
    const pattern = { name: "card", pattern: "\\d{16}", action: "redact", applies_to: "both" };
    expect(rail.spec).toEqual({ model_deny: ["a", "b"], content_patterns: [pattern] });
    const tightened = ["--clear-model-deny", "--allow-streaming", "false", "--model-allow", ""];
    expect((await cli.json<Policy>("cloud", "guardrail", "update", rail.id, ...tightened)).spec).toEqual({
      model_allow: [],
      allow_streaming: false,
      content_patterns: [pattern],
    });

    const rate = await cli.json<Policy>(
      "cloud",
      "rate-limit",
      "create",
      "--name",
      "rate",
      "--window-secs",
      "60",
      "--max-requests",
      "5",
    );
    const faster = ["--max-tokens", "9", "--clear-max-requests"];
    expect((await cli.json<Policy>("cloud", "rate-limit", "update", rate.id, ...faster)).spec).toEqual({
      window_secs: 60,
      max_tokens: 9,
    });
    const last = await cli.error("cloud", "rate-limit", "update", rate.id, "--clear-max-tokens");
    expect(last).toMatchObject({ exitCode: 1, reason: "FIELD_INVALID" });

    const parts = ["--guardrail", await file({ allow_streaming: false }), "--budget", await file(SPECS.budget)];
    const preset = await cli.json<Policy>("cloud", "preset", "create", "--name", "bundle", ...parts);
    const changed = ["--clear-guardrail", "--rate-limit", await file(SPECS.rate_limit)];
    expect((await cli.json<Policy>("cloud", "preset", "update", preset.id, ...changed)).spec).toEqual({
      rate_limit: SPECS.rate_limit,
      budget: SPECS.budget,
    });
    for (const [kind, { id }] of Object.entries({ guardrail: rail, "rate-limit": rate, preset })) {
      expect(await cli.error("cloud", kind === "preset" ? "budget" : "preset", "get", id)).toMatchObject({
        code: "not_found",
      });
      await cli.json("cloud", kind, "delete", id, "--yes");
    }
  });
});

describe("binding", () => {
  it("ends with its key: revoking one removes what is bound to it and to the keys below, audited as the revoker's", async () => {
    const kept = await mint("kept", "inference:invoke");
    const parent = await mint("revoked", "inference:invoke keys:write");
    const created = await create("of the revoked", "budget", SPECS.budget);
    for (const key of [kept, parent]) await policy("bind", created.id, ...onKey(key.id));
    await cli.json("cloud", "keys", "revoke", parent.id);
    const bound = await eventually(async () => {
      const { data } = await policy<List<Binding>>("bindings", created.id);
      return data.length === 1 && data;
    });
    expect(bound.map(({ principal_id }) => principal_id)).toEqual([kept.id]);
    const list = (...argv: readonly string[]) =>
      cli.json<List<{ actor_id: string; before: { principal_id: string } }>>("cloud", "audit", "list", ...argv);
    const removed = await list("--action", "binding.delete", "--limit", "1");
    const revoked = await list("--action", "key.revoke", "--target", parent.id);
    expect(removed.data).toMatchObject([{ actor_id: revoked.data[0]?.actor_id, before: { principal_id: parent.id } }]);
    const ids = bound.map(({ id }) => ({ id }));
    expect(await policy<List<Binding>>("unbind", created.id, "--all", "--yes")).toMatchObject({ data: ids });
    await policy("delete", created.id, "--yes");
  });

  it("binds in both modes, lists by policy and by principal, and unbinds", async () => {
    const sub = await mint("bound", "inference:invoke");
    const created = await create("both", "budget", SPECS.budget);
    const shadow = await policy<Binding>("bind", created.id, ...onKey(sub.id), "--shadow");
    expect(shadow).toEqual({
      id: shadow.id,
      policy_id: created.id,
      principal_type: "api_key",
      principal_id: sub.id,
      mode: "shadow",
      created_by: self.key.id,
    });
    expect(await policy("bind", created.id, ...onKey(sub.id), "--shadow")).toEqual(shadow);
    const refused = await cli.error("cloud", "policy", "bind", created.id, ...onKey(sub.id));
    expect(refused).toMatchObject({ exitCode: 1, code: "already_exists", reason: "BINDING_EXISTS" });
    expect((await policy<List<Binding>>("bindings", created.id)).data).toMatchObject([shadow]);
    expect((await policy<List<Policy>>("for-principal", ...onKey(sub.id))).data).toEqual([
      {
        ...created,
        binding_count: 1,
        key_binding_count: 1,
        shadow_binding_count: 1,
        bound_to: [
          {
            binding_id: shadow.id,
            principal_type: "api_key",
            principal_id: sub.id,
            mode: "shadow",
            budget_use: {
              spent_micro_usd: 0,
              reserved_micro_usd: 0,
              leased_micro_usd: 0,
              held_back_micro_usd: 0,
              remaining_micro_usd: SPECS.budget.limit_micro_usd,
              frees_up_at: null,
            },
          },
        ],
        binding: shadow,
      },
    ]);
    expect(await policy("unbind", created.id, shadow.id, "--yes")).toEqual(shadow);
    expect(await cli.error("cloud", "policy", "unbind", created.id, shadow.id, "--yes")).toMatchObject({
      code: "not_found",
    });
    expect(await policy("bindings", created.id)).toEqual({ data: [], next_page_token: null });
    await policy("delete", created.id, "--yes");
  });

  it("is refused for a foreign, an unknown and a revoked principal", async () => {
    const created = await create("nobody's", "budget", SPECS.budget);
    await cli.json("cloud", "namespace", "create", "elsewhere");
    const foreign = await cli.json<{ id: string }>(
      "cloud",
      "keys",
      "mint",
      "--namespace",
      "elsewhere",
      "--name",
      "x",
      "--scope",
      "keys:*",
    );
    const unknown = `${foreign.id.slice(0, -4)}0000`;
    const errors = await Promise.all(
      [foreign.id, unknown, "key_x"].map((id) => cli.error("cloud", "policy", "bind", created.id, ...onKey(id))),
    );
    for (const error of errors)
      expect(error).toMatchObject({ exitCode: 1, code: "not_found", message: errors[0]?.message });
    const revoked = await mint("gone", "inference:invoke");
    await cli.json("cloud", "keys", "revoke", revoked.id);
    const late = await cli.error("cloud", "policy", "bind", created.id, ...onKey(revoked.id));
    expect(late).toMatchObject({ exitCode: 1, code: "failed_precondition", reason: "STATE_CONFLICT" });
    await policy("delete", created.id, "--yes");
  });
});

describe("a sub-key", () => {
  it("can loosen no policy that applies to it, by any command; the root key can", async () => {
    const sub = await mint("agent", "policy:* keys:read");
    const flags = ["--window", "day", "--limit-micro-usd", "5", "--bind-key", sub.id];
    const { id, bindings } = await cli.json<Policy & { bindings: Binding[] }>(
      "cloud",
      "budget",
      "create",
      "--name",
      "agent cap",
      ...flags,
    );
    const agent = cliAs(node, sub.token);
    const looser = await file({ window: "day", limit_micro_usd: 500 });
    for (const argv of [
      ["policy", "update", id, "--spec", looser],
      ["policy", "disable", id],
      ["policy", "unbind", id, bindings[0]?.id ?? "", "--yes"],
      ["policy", "delete", id, "--yes"],
      ["budget", "update", id, "--limit-micro-usd", "500"],
      ["budget", "delete", id, "--yes"],
    ]) {
      expect(await agent.error("cloud", ...argv)).toMatchObject({ exitCode: 4, reason: "POLICY_BINDS_CALLER" });
    }
    expect((await policy<Policy>("get", id)).spec).toEqual({ window: "day", limit_micro_usd: 5 });
    await policy("update", id, "--spec", looser);
    await policy("delete", id, "--yes");
  });
});

describe("binding with an etag", () => {
  it("succeeds if the policy is unchanged, and is refused once it has changed", async () => {
    const sub = await mint("owner", "policy:*");
    const agent = cliAs(node, sub.token);
    const create = ["cloud", "budget", "create", "--name", "own", "--window", "day", "--limit-micro-usd", "5"];
    const read = await agent.json<Policy>(...create);
    expect(read.created_by).toBe(sub.id);
    await agent.json("cloud", "budget", "update", read.id, "--limit-micro-usd", "500");
    const stale = await cli.error("cloud", "policy", "bind", read.id, ...onKey(sub.id), "--etag", read.etag);
    expect(stale).toMatchObject({ exitCode: 1, reason: "ETAG_MISMATCH" });
    const { etag } = await policy<Policy>("get", read.id);
    await policy("bind", read.id, ...onKey(sub.id), "--etag", etag);
    expect(await agent.error("cloud", "policy", "bind", read.id, ...onKey(self.key.id))).toMatchObject({
      exitCode: 4,
      reason: "PRINCIPAL_OUT_OF_LINEAGE",
    });
    await policy("delete", read.id, "--yes");
  });
});

describe("an invalid policy", () => {
  const refused = async (kind: string, spec: unknown) =>
    cli.error("cloud", "policy", "create", "--name", "x", "--kind", kind, "--spec", await file(spec));
  const pattern = (text: string) => ({
    content_patterns: [
      { name: "fine", pattern: "a" },
      { name: "p", pattern: text },
    ],
  });

  it("is refused with path and rule as written, and with the position of a fault in a pattern", async () => {
    const lookAhead = await refused("guardrail", pattern("card (?=x)"));
    expect(lookAhead).toMatchObject({ exitCode: 1, reason: "FIELD_INVALID" });
    expect(lookAhead.message).toMatch(
      /^spec\.content_patterns\[1\]\.pattern: is not an RE2 pattern: .* at character 6$/,
    );
    for (const [spec, path] of [
      [pattern("((a{100}){100}){100}"), "spec.content_patterns[1].pattern"],
      [pattern("a*"), "spec.content_patterns[1].pattern"],
      [pattern("x".repeat(513)), "spec.content_patterns[1].pattern"],
      [{ model_allow: [" "] }, "spec.model_allow[0]"],
    ] as const) {
      expect((await refused("guardrail", spec)).message).toContain(`${path}: `);
    }
    const many = Array.from({ length: 51 }, (_, n) => ({ name: `p${n}`, pattern: "a" }));
    expect((await refused("preset", { guardrail: { content_patterns: many } })).message).toContain(
      "spec.guardrail.content_patterns: ",
    );
    expect((await policy<List<Policy>>("list")).data).toEqual([]);
  });

  it("is refused for an unknown field with its path, in the API and on the command line", async () => {
    const guardrail = {
      contentPatterns: [
        { name: "a", pattern: "b" },
        { name: "c", pattern: "d", foo: 1 },
      ],
    };
    const response = await fetch(`${node.url}/routeplane.policy.v1.PolicyService/CreatePolicy`, {
      method: "POST",
      headers: { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" },
      body: JSON.stringify({ name: "x", spec: { guardrail } }),
    });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      {
        code: "invalid_argument",
        message: expect.stringContaining("spec.guardrail.content_patterns[1].foo: is not known"),
      },
    ]);
  });
});
