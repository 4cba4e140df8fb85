import { KeyService } from "@routeplane/contracts/auth";
import { RequestStatus, UsageService } from "@routeplane/contracts/usage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };

/** Keys that the node was called to revoke. */
const calls: string[] = [];

let node: FakeNode;
beforeAll(async () => {
  node = await startFakeNode((router) => {
    router.service(KeyService, {
      getKey: ({ id }) => ({ key: { id, name: "a\u001b[2Jb", createdAt: AT } }),
      revokeKey({ id }) {
        calls.push(id);
        return { key: { id, createdAt: AT } };
      },
      listKeys({ pageToken }) {
        const names = pageToken === "" ? ["c", "b"] : ["a"];
        const keys = names.map((name) => ({ id: `key_${name}`, name, createdAt: AT }));
        return { keys, nextPageToken: pageToken === "" ? "second" : "" };
      },
    });
    router.service(UsageService, {
      getUsage: () => ({ from: AT, to: AT, requestCount: 1_234n, spendMicroUsd: 9_007_199_254_740_991n }),
      async *watchRequests() {
        const request = { keyId: "key_1", status: RequestStatus.SUCCEEDED, createdAt: AT };
        const [cheap, dear] = [
          { ...request, costMicroUsd: 1n },
          { ...request, costMicroUsd: 500n },
        ];
        yield { requests: [cheap, dear], resumeToken: "" };
        throw new Error("the end");
      },
    });
  });
});
afterAll(() => node[Symbol.asyncDispose]());

const cli = (...argv: readonly string[]) =>
  runCli(argv, { ROUTEPLANE_HOME: "/nonexistent", ROUTEPLANE_URL: node.url, ROUTEPLANE_API_KEY: "rp_live_env" });
const KEYS = ["cloud", "keys", "list"];

describe.concurrent("--jq", () => {
  it.each([
    [[".data[].name"], "c\nb\na\n"],
    [[".data | map({id, name}) | sort_by(.name)[0]"], '{"id":"key_a","name":"a"}\n'],
    [['.data[] | "\\(.id) is \\(.name)"'], "key_c is c\nkey_b is b\nkey_a is a\n"],
    [[".data | length", "--json"], "3\n"],
    [[".data[0].parent_id"], "null\n"],
    [['.data[] | select(.name == "no such key")'], ""],
    [[".data[] | [.id, .name] | @tsv"], "key_c\tc\nkey_b\tb\nkey_a\ta\n"],
  ])("prints what %j makes of a whole list", async ([expression = "", ...more], expected) => {
    expect(await cli(...KEYS, "--jq", expression, ...more)).toEqual({ code: 0, stdout: expected, stderr: "" });
  });

  it("prints exact numbers, and texts that cannot control a terminal", async () => {
    expect((await cli("cloud", "usage", "--jq=.spend_micro_usd")).stdout).toBe("9007199254740991\n");
    expect((await cli("cloud", "keys", "get", "key_1", "--jq", ".name")).stdout).toBe("a\\u001b[2Jb\n");
  });

  it("prints each row of an endless list, and nothing for rows that the expression leaves out", async () => {
    const { stdout } = await cli("cloud", "requests", "--follow", "--jq", ".cost_micro_usd | select(. > 100)");
    expect(stdout).toBe("500\n");
  });

  it.each([".data[", "no_such_function", ".data | foo(1)", "}{", ".data | map("])(
    "refuses the expression %j before any call",
    async (expression) => {
      const { code, stdout, stderr } = await cli("cloud", "keys", "revoke", "key_1", "--yes", "--jq", expression);
      expect({ code, stdout, calls }).toEqual({ code: 2, stdout: "", calls: [] });
      const message = expect.stringMatching(/^option '--jq <expression>': /);
      expect(JSON.parse(stderr)).toMatchObject({ error: { reason: "COMMAND_LINE_INVALID", message } });
    },
  );

  it("says why an expression does not fit the data", async () => {
    const { code, stdout, stderr } = await cli(...KEYS, "--jq", '.data | ltrimstr("a")');
    expect([code, stdout]).toEqual([1, ""]);
    expect(JSON.parse(stderr)).toMatchObject({ error: { reason: "QUERY_FAILED" } });
  });

  it("cannot be combined with another format or an export", async () => {
    for (const argv of [
      [...KEYS, "-o", "yaml"],
      ["cloud", "usage", "--format", "csv"],
      ["cloud", "requests", "export", "--format", "csv"],
    ])
      expect(await cli(...argv, "--jq", ".")).toMatchObject({ code: 2, stdout: "" });
  });
});
