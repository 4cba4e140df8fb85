import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";
import { type Cli, cliAs, cliOf, type List } from "./json-cli.ts";

/** Tests of `--key`, `--model` and `--provider` of the commands that show usage: an unknown value must not look like no usage. */

interface Key {
  readonly id: string;
  readonly token: string;
}

const UNKNOWN_KEY = "key_01kayeqtfnexes8b2c1x4m9d7z";
const LISTS = ["usage", "requests", "requests --follow", "requests export --format jsonl"];

let node: TestNode;
let cli: Cli;
let bot: Key;
/** Key of another namespace, which has made requests there. */
let foreign: Key;

const mint = (name: string, ...more: readonly string[]): Promise<Key> =>
  cli.json("cloud", "keys", "mint", "--name", name, "--scope", "inference:invoke usage:read", ...more);

async function call(token: string): Promise<void> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "echo", messages: [{ role: "user", content: "hello" }] }),
  });
  await response.text();
  expect(response.status).toBe(200);
}

beforeAll(async () => {
  node = await startNode();
  cli = cliOf(node);
  await cli.json("cloud", "namespace", "create", "other");
  [bot, foreign] = [await mint("ci-bot"), await mint("ci-bot", "--namespace", "other")];
  await Promise.all([call(bot.token), call(await node.apiKey()), call(foreign.token)]);
  await eventually(async () => (await requestsOf()).length === 2, 30_000);
}, 120_000);
afterAll(() => node?.remove());

const requestsOf = async (...filter: readonly string[]): Promise<readonly { readonly key_id: string }[]> =>
  (await cli.json<List<{ readonly key_id: string }>>("cloud", "requests", ...filter)).data;

describe("--key", () => {
  it("accepts a name as well as an id", async () => {
    for (const key of ["ci-bot", bot.id]) {
      expect((await requestsOf("--key", key)).map(({ key_id }) => key_id)).toEqual([bot.id]);
      expect(await cli.json("cloud", "usage", "--key", key)).toMatchObject({ request_count: 1 });
      const exported = await cli("cloud", "requests", "export", "--format", "jsonl", "--key", key);
      expect(exported.stdout.trim().split("\n")).toEqual([expect.stringContaining(bot.id)]);
    }
  });

  it.each(LISTS)("of an unknown name is refused by `%s`, with a suggestion", async (line) => {
    const error = await cli.error("cloud", ...line.split(" "), "--key", "ci-bto");
    expect(error).toMatchObject({ exitCode: 1, code: "not_found", reason: "RESOURCE_NOT_FOUND" });
    expect(error.message).toBe(`no key "ci-bto" in this namespace; did you mean ci-bot (${bot.id})?`);
  });

  it("of another namespace is refused like an unknown one", async () => {
    const messages = await Promise.all(
      [foreign.id, UNKNOWN_KEY].map(async (id) =>
        (await cli.error("cloud", "usage", "--key", id)).message.replace(id, "ID"),
      ),
    );
    expect(messages).toEqual(Array.from({ length: 2 }, () => 'no key "ID" in this namespace'));
  });

  it("accepts a name that looks like an id, and is refused if no key has that name", async () => {
    const { id } = await mint("key_ci");
    expect(await cli.json("cloud", "usage", "--key", "key_ci")).toMatchObject({ request_count: 0 });
    for (const line of LISTS) {
      const error = await cli.error("cloud", ...line.split(" "), "--key", "key_cj");
      expect(error).toMatchObject({ exitCode: 1, reason: "RESOURCE_NOT_FOUND" });
      expect(error.message).toContain(`did you mean key_ci (${id})?`);
    }
  });

  it("by a name of several keys is refused with the ids of all", async () => {
    const [first, second] = [await mint("twin"), await mint("twin")];
    const error = await cli.error("cloud", "usage", "--key", "twin");
    expect(error).toMatchObject({ exitCode: 1, message: `several keys are named "twin": ${first.id}, ${second.id}` });
  });

  it("without keys:read accepts ids, and refuses names with the missing scope", async () => {
    const narrow = cliAs(node, bot.token);
    expect(await narrow.json("cloud", "usage", "--key", bot.id)).toMatchObject({ request_count: 1 });
    const error = await narrow.error("cloud", "usage", "--key", "ci-bot");
    expect(error).toMatchObject({ exitCode: 4, message: expect.stringContaining("keys:read") });
  });
});

describe("--model", () => {
  it("finds the requests to a model by every name that the gateway accepts", async () => {
    for (const model of ["echo", "ECHO", "echo/echo"]) {
      expect(await cli.json("cloud", "usage", "--model", model)).toMatchObject({ request_count: 2 });
      expect(await requestsOf("--model", model)).toHaveLength(2);
    }
  });

  it.each(LISTS)("of an unknown model is refused by `%s`, with a suggestion", async (line) => {
    const error = await cli.error("cloud", ...line.split(" "), "--model", "ehco");
    expect(error).toMatchObject({ exitCode: 1, reason: "RESOURCE_NOT_FOUND" });
    expect(error.message).toMatch(/^no model "ehco": .*; did you mean echo\?$/);
  });

  it("of a served model without requests in the range has no usage", async () => {
    const range = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"];
    expect(await cli.json("cloud", "usage", "--model", "echo", ...range)).toMatchObject({ request_count: 0 });
  });
});

describe("--provider", () => {
  it("selects the requests to a provider, ignoring case", async () => {
    for (const provider of ["echo", "ECHO"]) {
      expect(await cli.json("cloud", "usage", "--provider", provider, "--model", "echo")).toMatchObject({
        request_count: 2,
      });
      expect(await requestsOf("--provider", provider, "--key", "ci-bot")).toHaveLength(1);
      const exported = await cli("cloud", "requests", "export", "--format", "jsonl", "--provider", provider);
      expect(exported.stdout.trim().split("\n")).toHaveLength(2);
    }
  });

  it.each(LISTS)("of an unknown provider is refused by `%s`, with a suggestion", async (line) => {
    const error = await cli.error("cloud", ...line.split(" "), "--provider", "ehco");
    expect(error).toMatchObject({ exitCode: 1, reason: "RESOURCE_NOT_FOUND" });
    expect(error.message).toMatch(/^no provider "ehco": .*; did you mean echo\?$/);
  });

  it("is named in the refusal of a model that it does not have", async () => {
    const error = await cli.error("cloud", "usage", "--provider", "echo", "--model", "ehco");
    expect(error.message).toMatch(/^no model "ehco" of provider "echo": .*; did you mean echo\?$/);
  });
});
