import { afterAll, beforeAll, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf, type List } from "./json-cli.ts";

/** Tests of two accounts on one node, through the real command. */

interface Named {
  readonly id: string;
  readonly name: string;
}
interface Namespace extends Named {
  readonly account_id: string;
}
interface Minted extends Named {
  readonly token: string;
}

let node: TestNode;
let cli: Cli;
beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node);
});
afterAll(() => node.remove());

const namespaces = async (by: Cli, ...options: string[]) =>
  (await by.json<List<Namespace>>("cloud", "namespace", "list", ...options)).data;
const mint = (by: Cli, namespace: string) => {
  const scopes = "inference:* keys:* namespace:*";
  return by.json<Minted>("cloud", "keys", "mint", "--namespace", namespace, "--name", "root", "--scope", scopes);
};

it("each account has its own namespaces, and a name in both must be given by id", async () => {
  const team = await cli.json<Named>("cloud", "account", "create", "team-a");
  expect(await cli.json("cloud", "account", "get", "team-a")).toEqual(team);
  const { data } = await cli.json<List<Named>>("cloud", "account", "list");
  expect(data.map(({ name }) => name)).toEqual(["default", "team-a"]);
  expect(await cli.error("cloud", "namespace", "create", "staging")).toMatchObject({
    exitCode: 1,
    code: "invalid_argument",
    message: expect.stringContaining("account"),
  });
  const [ours, theirs] = [
    await cli.json<Namespace>("cloud", "namespace", "create", "staging", "--account", "default"),
    await cli.json<Namespace>("cloud", "namespace", "create", "staging", "--account", team.id),
  ];
  expect(theirs.account_id).toBe(team.id);
  const operator = cliAs(node, await node.operatorKey());
  expect((await namespaces(operator)).map(({ id }) => id)).toEqual(expect.arrayContaining([ours.id, theirs.id]));
  expect(await namespaces(operator, "--account", "team-a")).toMatchObject([{ id: theirs.id }]);
  const { stdout } = await operator("cloud", "namespace", "list");
  expect(stdout).toContain(`${theirs.id} staging (of ${team.id})`);

  const ambiguous = await cli.error(
    "cloud",
    "keys",
    "mint",
    "--namespace",
    "staging",
    "--name",
    "x",
    "--scope",
    "keys:*",
  );
  expect(ambiguous).toMatchObject({
    exitCode: 1,
    reason: "NAME_AMBIGUOUS",
    message: expect.stringContaining(theirs.id),
  });
  const { token } = await mint(cli, theirs.id);
  expect(await cliAs(node, token).json("cloud", "whoami")).toMatchObject({
    account: { id: team.id, name: "team-a" },
    namespace: { id: theirs.id },
  });
  expect((await namespaces(cliAs(node, token))).map(({ id }) => id)).toEqual([theirs.id]);
  expect((await namespaces(cli)).map(({ id }) => id)).toContain(theirs.id);
  const key = cliAs(node, await node.apiKey());
  expect((await namespaces(key)).map(({ name }) => name)).toEqual(["default"]);
});

it("an operator credential of one account administers that account, and sees no other", async () => {
  await cli.json("cloud", "account", "create", "team-b");
  const scopes = "namespaces:* keys:* accounts:* operators:*";
  const argv = ["cloud", "operator", "mint", "--name", "b", "--account", "team-b", "--scope", scopes];
  const operator = cliAs(node, (await cli.json<Minted>(...argv)).token);
  const staging = await operator.json<Namespace>("cloud", "namespace", "create", "staging");
  await mint(operator, "staging");
  expect(await namespaces(operator)).toMatchObject([{ id: staging.id }]);
  expect(await operator.json("cloud", "account", "list")).toMatchObject({ data: [{ name: "team-b" }] });
  const refused = await operator.error("cloud", "account", "get", "team-a");
  expect(refused).toMatchObject({ exitCode: 1, reason: "RESOURCE_NOT_FOUND" });
  expect(await operator.error("cloud", "account", "create", "mine")).toMatchObject({
    exitCode: 4,
    reason: "ACCOUNT_LIMITED",
  });
});

it("a renamed account keeps everything but its name", async () => {
  const before = await cli.json<Named>("cloud", "account", "create", "team-c");
  const renamed = await cli.json<Named>("cloud", "account", "rename", "team-c", "team-d");
  expect(renamed).toEqual({ ...before, name: "team-d" });
  expect(await cli.error("cloud", "account", "get", "team-c")).toMatchObject({ exitCode: 1, code: "not_found" });
  expect(await cli.error("cloud", "account", "rename", "team-d", "default")).toMatchObject({ reason: "NAME_TAKEN" });
  expect(await cli.error("cloud", "account", "create", "Team")).toMatchObject({ exitCode: 2 });
});
