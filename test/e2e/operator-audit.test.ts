import { afterAll, beforeAll, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf, type List } from "./json-cli.ts";

/** Tests of the audit logs of all services as operators read them. */

interface Entry {
  readonly id: string;
  readonly action: string;
  readonly actor_id: string | null;
  readonly target_id: string;
  readonly namespace_id: string | null;
}
interface Made {
  readonly id: string;
  readonly token: string;
}
/** Creates a namespace in which a key creates and binds a policy and mints another key. */
interface Furnished {
  readonly namespaceId: string;
  readonly keyId: string;
  /** Actions, newest first. */
  readonly changes: readonly (readonly [string, string])[];
}

let node: TestNode;
let cli: Cli;
let ours: Furnished;
let theirs: Furnished;
beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node);
  await cli.json("cloud", "account", "create", "theirs");
  ours = await furnish("ours", "default");
  theirs = await furnish("hidden", "theirs");
});
afterAll(() => node.remove());

async function furnish(name: string, account: string): Promise<Furnished> {
  const { id: namespaceId } = await cli.json<Made>("cloud", "namespace", "create", name, "--account", account);
  const scope = ["--scope", "keys:* policy:* audit:*"];
  const root = await cli.json<Made>("cloud", "keys", "mint", "--namespace", namespaceId, "--name", "root", ...scope);
  const asRoot = cliAs(node, root.token);
  const budget = ["--name", "cap", "--window", "day", "--limit-micro-usd", "5"];
  const policy = await asRoot.json<Made>("cloud", "budget", "create", ...budget);
  const principal = ["--principal-type", "api_key", "--principal-id", root.id];
  const binding = await asRoot.json<Made>("cloud", "policy", "bind", policy.id, ...principal);
  const child = await asRoot.json<Made>("cloud", "keys", "mint", "--name", "child", "--scope", "keys:read");
  return {
    namespaceId,
    keyId: root.id,
    changes: [
      ["key.create", child.id],
      ["binding.create", binding.id],
      ["policy.create", policy.id],
      ["key.create", root.id],
      ["namespace.create", namespaceId],
    ],
  };
}

const list = (by: Cli, ...options: string[]) => by.json<List<Entry>>("cloud", "audit", "list", ...options);
const changesIn = ({ data }: List<Entry>) => data.map(({ action, target_id }) => [action, target_id]);
async function operator(scope: string, ...more: string[]): Promise<Cli> {
  const { token } = await cli.json<Made>("cloud", "operator", "mint", "--name", "o", "--scope", scope, ...more);
  return cliAs(node, token);
}

it("lists every change in a namespace, by name or id, at every service, and nothing else", async () => {
  for (const named of ["ours", ours.namespaceId]) {
    expect(changesIn(await list(cli, "--namespace", named))).toEqual(ours.changes);
  }
  expect(changesIn(await list(cli, "--namespace", theirs.namespaceId))).toEqual(theirs.changes);
  const narrowed = await list(cli, "--namespace", "ours", "--action", "key.create", "--actor", ours.keyId);
  expect(changesIn(narrowed)).toEqual([ours.changes[0]]);
  expect(await cli.error("cloud", "audit", "list", "--namespace", "nobody")).toMatchObject({
    exitCode: 1,
    reason: "RESOURCE_NOT_FOUND",
  });
});

it("lists the changes of accounts, operators and every namespace of the node, by pages without gaps or duplicates", async () => {
  const whole = await list(cli, "--node", "--limit", "1000");
  const changes = changesIn(whole);
  for (const change of [...ours.changes, ...theirs.changes]) expect(changes).toContainEqual(change);
  expect(whole.data.map(({ action }) => action)).toContain("account.create");
  const ids = whole.data.map(({ id }) => id);
  expect(ids).toEqual(ids.toSorted().toReversed());
  for (const [options, expected] of [
    [["--node"], ids],
    [["--namespace", "ours"], whole.data.filter((each) => each.namespace_id === ours.namespaceId).map(({ id }) => id)],
  ] as const) {
    const paged: string[] = [];
    let token: string | null = "";
    while (token !== null) {
      const page: List<Entry> = await list(
        cli,
        ...options,
        "--limit",
        "3",
        ...(token === "" ? [] : ["--page-token", token]),
      );
      paged.push(...page.data.map(({ id }) => id));
      token = page.next_page_token;
    }
    expect(paged).toEqual(expected);
  }
});

it("lists every change in an account to its operators, at every service, and nothing of another account", async () => {
  const limited = await operator("audit:read namespaces:read", "--account", "theirs");
  const changes = changesIn(await list(limited, "--node", "--limit", "1000"));
  for (const change of theirs.changes) expect(changes).toContainEqual(change);
  const ourTargets = ours.changes.map(([, target]) => target);
  for (const [, target] of changes) expect(ourTargets).not.toContain(target);
  expect(changesIn(await list(limited, "--namespace", "hidden"))).toEqual(theirs.changes);
  expect((await list(limited, "--namespace", ours.namespaceId)).data).toEqual([]);
  for (const target of ourTargets) expect((await list(limited, "--target", target)).data).toEqual([]);
  expect(await limited.error("cloud", "audit", "list", "--namespace", "ours")).toMatchObject({
    reason: "RESOURCE_NOT_FOUND",
  });
});

it("requires audit:read at every service", async () => {
  const without = await operator("accounts:* keys:* namespaces:* operators:* usage:*");
  for (const options of [[], ["--node"], ["--namespace", "ours"]]) {
    expect(await without.error("cloud", "audit", "list", ...options)).toMatchObject({
      exitCode: 4,
      reason: "SCOPE_MISSING",
      message: expect.stringContaining("audit:read"),
    });
  }
  const only = await operator("audit:read");
  expect(changesIn(await list(only, "--namespace", ours.namespaceId))).toEqual(ours.changes);
  for (const service of ["auth", "policy", "usage"]) {
    const { token } = await cli.json<Made>("cloud", "operator", "mint", "--name", "x", "--scope", "keys:*");
    const response = await fetch(`${node.url}/routeplane.${service}.v1.AuditService/ListAuditEntries`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: "{}",
    });
    expect([service, response.status, await response.text()]).toEqual([
      service,
      403,
      expect.stringContaining("operator scope audit:read"),
    ]);
  }
});

it("refuses --node and --namespace together", async () => {
  const refused = await cli.error("cloud", "audit", "list", "--node", "--namespace", "ours");
  expect(refused).toMatchObject({ exitCode: 2, reason: "COMMAND_LINE_INVALID" });
});
