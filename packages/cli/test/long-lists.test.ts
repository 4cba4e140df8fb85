import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { KeyService } from "@routeplane/contracts/auth";
import { RequestStatus, UsageService } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { readSettings } from "../src/config.ts";
import { run } from "../src/run.ts";
import { runCliInShell, runCliProcess } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const ROWS = 200_000;
const TIMEOUT_MS = 120_000;

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
});

/** Starts a node with `ROWS` requests and keys, which sends pages of the size that is asked for. */
function longLists(): Promise<FakeNode> {
  const page = <Row>(pageToken: string, pageSize: number, rowOf: (index: number) => Row) => {
    const from = Number(pageToken || "0");
    const to = Math.min(from + pageSize, ROWS);
    const rows = Array.from({ length: to - from }, (_, index) => rowOf(from + index));
    return { rows, nextPageToken: to < ROWS ? String(to) : "" };
  };
  return startFakeNode((router) => {
    router.service(UsageService, {
      listRequests({ pageToken, pageSize }) {
        const request = { status: RequestStatus.SUCCEEDED, createdAt: AT, model: "echo", keyId: "key_1" };
        const { rows, nextPageToken } = page(pageToken, pageSize, (index) => ({ ...request, id: `req_${index}` }));
        return { requests: rows, nextPageToken };
      },
    });
    router.service(KeyService, {
      getKey: ({ id }) => ({ key: { id, name: "bot" } }),
      listKeys({ pageToken, pageSize }) {
        const key = { createdAt: AT, name: "bot", prefix: "rp_live_x" };
        const { rows, nextPageToken } = page(pageToken, pageSize, (index) => ({ ...key, id: `key_${index}` }));
        return { keys: rows, nextPageToken };
      },
    });
  });
}

describe("a list of 200,000 rows", () => {
  it.each([
    ["keys", "cloud keys list"],
    ["keys as a tree", "cloud keys list --tree"],
  ])(
    "of %s prints every row",
    async (_, line) => {
      await using node = await longLists();
      const { code, stdout } = await runCliProcess(line.split(" "), as(node.url));
      expect({ code, lines: stdout.trimEnd().split("\n").length }).toEqual({ code: 0, lines: ROWS + 1 });
      expect(stdout).toContain(`_${ROWS - 1}`);
    },
    TIMEOUT_MS,
  );

  it(
    "is valid JSON under --json, with the token of the next page",
    async () => {
      await using node = await longLists();
      const { stdout } = await runCliProcess(["cloud", "requests", "--limit", "150001", "--json"], as(node.url));
      const list = JSON.parse(stdout) as { data: { id: string }[]; next_page_token: string };
      expect(list.data.map(({ id }) => id)).toEqual(Array.from({ length: 150_001 }, (_, index) => `req_${index}`));
      expect(list.next_page_token).toBe("150001");
      expect(stdout).toBe(`${JSON.stringify(list, null, 2)}\n`);
    },
    TIMEOUT_MS,
  );

  it.each(["cloud keys list", `cloud requests --limit ${ROWS} --json`, "cloud requests export --format jsonl"])(
    "exits with 0, silently, when its reader closes the pipe: %s",
    async (line) => {
      await using node = await longLists();
      const script = '{ "$0" "$@"; echo "exit $?" >&2; } | head -n 2';
      const { stdout, stderr } = await runCliInShell(script, line.split(" "), as(node.url));
      expect(stdout.trimEnd().split("\n")).toHaveLength(2);
      expect(stderr).toBe("exit 0\n");
    },
    TIMEOUT_MS,
  );

  it(
    "shows its progress on a terminal if the rows go to a file or pipe and it takes long",
    async () => {
      await using node = await longLists();
      const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
      const settings = readSettings(as(node.url));
      const terminal = Object.assign(stderr, { isTTY: true as const });
      const shown = text(stderr);
      const running = run(["cloud", "requests", "--limit", "5000"], { settings, stdin, stdout, stderr: terminal });
      // A slow reader: the list waits for it.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      stdout.resume();
      expect(await running).toBe(0);
      stderr.end();
      expect(await shown).toMatch(/\r\d+ rows\r/);
    },
    TIMEOUT_MS,
  );
});
