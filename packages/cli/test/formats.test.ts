import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { IdentityService, KeyService } from "@routeplane/contracts/auth";
import { EffectivePolicyService } from "@routeplane/contracts/policy";
import { RequestStatus, UsageService } from "@routeplane/contracts/usage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { readSettings } from "../src/config.ts";
import { run } from "../src/run.ts";
import { runCli } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const request = {
  keyId: "key_1",
  status: RequestStatus.SUCCEEDED,
  endpoint: "/v1/chat/completions",
  promptTokens: 1_234_567n,
  createdAt: AT,
};
/** Requests with texts that are dangerous in some format. */
const REQUESTS = [
  { ...request, id: "req_1", model: "=cmd\t1", costMicroUsd: 1_200_000_000n },
  { ...request, id: "req_2", model: "a\u001b[2J: b\u202e", costMicroUsd: 12n },
];
const LIST = ["cloud", "requests"];
const GROUPS = [
  { model: "a", spendMicroUsd: 2n },
  { model: "c", spendMicroUsd: 10n },
  { model: "b", spendMicroUsd: 9n },
];

let node: FakeNode;
beforeAll(async () => {
  node = await startFakeNode((router) => {
    router.service(IdentityService, { whoAmI: () => ({}) });
    router.service(EffectivePolicyService, { getOwnLimits: () => ({}) });
    router.service(KeyService, {
      getKey: ({ id }) => ({ key: { id } }),
      listKeys({ pageToken }) {
        const names = pageToken === "" ? ["c", "b"] : ["a"];
        const keys = names.map((name) => ({ id: `key_${name}`, name, createdAt: AT }));
        return { keys, nextPageToken: pageToken === "" ? "second" : "" };
      },
    });
    router.service(UsageService, {
      listRequests: ({ filter }) => ({ requests: filter?.status === RequestStatus.DENIED ? [] : REQUESTS }),
      getUsage: () => ({ from: AT, to: AT, requestCount: 1_234n, groups: GROUPS }),
      async *watchRequests() {
        yield { requests: REQUESTS, resumeToken: "" };
        throw new Error("the end");
      },
    });
  });
});
afterAll(() => node[Symbol.asyncDispose]());

const environment = () => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: node.url,
  ROUTEPLANE_API_KEY: "rp_live_env",
});
const cli = (...argv: readonly string[]) => runCli(argv, environment());
const json = async (): Promise<{ data: object[] }> => JSON.parse((await cli(...LIST, "--json")).stdout);

/** Runs a command line whose streams are a terminal of `columns`. */
async function onTerminal(columns: number, ...argv: readonly string[]) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const terminal = { isTTY: true as const, columns };
  const shown = Promise.all([text(stdout), text(stderr)]);
  const streams = { stdin, stdout: Object.assign(stdout, terminal), stderr: Object.assign(stderr, terminal) };
  await run(argv, { settings: readSettings(environment()), ...streams });
  stdout.end();
  stderr.end();
  const [out, err] = await shown;
  return { stdout: out, stderr: err };
}

describe.concurrent("a list", () => {
  it("is TSV with exact values in a pipe, one line per row whatever its texts hold", async () => {
    const { stdout } = await cli(...LIST);
    const [head = "", first = "", second = "", ...rest] = stdout.split("\n");
    expect(rest).toEqual([""]);
    const cells = (line: string): object => {
      const values = line.split("\t");
      return Object.fromEntries(head.split("\t").map((name, index) => [name, values[index]]));
    };
    expect(cells(first)).toMatchObject({
      id: "req_1",
      created_at: "2026-05-01T00:00:00.000Z",
      prompt_tokens: "1234567",
      cost_micro_usd: "1200000000",
      model: "=cmd\\u00091",
      error_code: "",
    });
    expect(cells(second)).toMatchObject({ model: "a\\u001b[2J: b\\u202e" });
    expect((await cli(...LIST, "-o", "tsv")).stdout).toBe(stdout);
  });

  it("is a table on a terminal, with separators and decimal points below each other", async () => {
    const { stdout } = await onTerminal(200, ...LIST);
    const [head, first = "", second = ""] = stdout.split("\n");
    expect(head).toMatch(/TIME +ID +KEY +STATUS +MODEL +IN +OUT +USD/);
    expect(first).toMatch(/ 1,234,567 .* \$1,200\.00$/);
    expect(second.indexOf("$0.000012")).toBe(first.indexOf("$1,200.00") + 4);
    expect(first.indexOf(".00")).toBe(second.indexOf(".000012"));
  });

  it("is a table in a pipe if one is requested", async () => {
    expect((await cli(...LIST, "-o", "table")).stdout).toMatch(/^TIME +ID +KEY/);
  });

  it("has all columns in a wide table, however narrow the terminal is", async () => {
    const { stdout } = await onTerminal(40, ...LIST, "-o", "wide");
    expect(stdout).toMatch(/TIME +ID +KEY .* PROVIDER .* MICRO-USD +USD +ENDPOINT/);
  });

  it("is CSV without formulas", async () => {
    const { stdout } = await cli(...LIST, "--output=csv");
    expect(stdout).toMatch(/^created_at,id,[^]*,"'=cmd\t1",/);
    expect(stdout.split("\r\n")).toHaveLength(4);
  });

  it("is YAML of the same value as the JSON, safe to print", async () => {
    const { stdout } = await cli(...LIST, "-oyaml");
    expect(parse(stdout)).toEqual(await json());
    expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
  });

  it("is JSON with -o json, as with --json", async () => {
    expect(await cli(...LIST, "-o", "json")).toEqual(await cli(...LIST, "--json"));
  });

  it.each(["csv", "tsv", "table"])("is empty as %s if it has no rows, and a note says so", async (format) => {
    const { stdout, stderr } = await cli(...LIST, "--status", "denied", "-o", format);
    expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "No requests match.\n" });
  });

  it("gives advice if it is empty, but only on a terminal", async () => {
    const argv = ["cloud", "limits"];
    expect((await onTerminal(80, ...argv)).stderr).toBe(
      "No limit applies.\nCreate one: routeplane cloud budget create --help\n",
    );
    expect((await cli(...argv)).stderr).toBe("No limit applies.\n");
    expect((await onTerminal(80, ...argv, "--json")).stderr).toBe("");
  });

  it.each([
    ["tsv", (out: string) => out.split("\n").length, 4],
    ["yaml", (out: string) => parseAllDocuments(out).length, 2],
    [
      "json",
      (out: string) =>
        out
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as object).length,
      2,
    ],
  ])("that is followed is %s row by row", async (format, count, rows) => {
    const { stdout } = await cli(...LIST, "--follow", "-o", format);
    expect(count(stdout)).toBe(rows);
  });
});

describe.concurrent("one object", () => {
  it("is two lines of CSV or TSV: the names of its fields, and their values", async () => {
    const { stdout } = await cli("cloud", "usage", "-o", "tsv");
    const [names = "", values = ""] = stdout.split("\n");
    expect(names.split("\t")).toContain("request_count");
    expect(values.split("\t")[names.split("\t").indexOf("request_count")]).toBe("1234");
    expect((await cli("cloud", "usage", "--format", "csv")).stdout).toMatch(/^from,to,request_count.*\r\n/);
  });

  it("has thousands separators for people only", async () => {
    expect((await onTerminal(80, "cloud", "usage")).stdout).toMatch(/^requests +1,234$/m);
    expect((await cli("cloud", "usage")).stdout).toMatch(/^requests +1234$/m);
  });
});

describe.concurrent("a command line", () => {
  it.each([
    [["-o", "xml"], '"xml" is not one of table, wide, csv, tsv, json, yaml'],
    [["--json", "-o", "csv"], "--json cannot be combined with csv"],
    [["-o"], "argument missing"],
  ])("with %j is refused before a node is called", async (flags, message) => {
    const result = await runCli(["cloud", "requests", ...flags], {
      ...environment(),
      ROUTEPLANE_URL: "http://127.0.0.1:1",
    });
    expect(result).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(message) });
  });

  it("of an export names its file with --output, even if the file is named like a format", async () => {
    const folder = await mkdtemp(join(tmpdir(), "routeplane-cli-"));
    try {
      for (const flag of ["--output", "-o"]) {
        const file = join(folder, `rows${flag}`);
        const { code } = await cli(...LIST, "export", "--format", "jsonl", flag, file);
        expect(code).toBe(0);
        expect((await readFile(file, "utf8")).split("\n")).toHaveLength(3);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe.concurrent("--sort and --top", () => {
  const BY_MODEL = ["cloud", "usage", "--group-by", "model"];
  const models = async (...flags: readonly string[]) => {
    const { stdout } = await cli(...BY_MODEL, ...flags, "--json");
    return (JSON.parse(stdout) as { groups: { model: string }[] }).groups.map(({ model }) => model);
  };

  it("order and cut the groups of usage, in every format, but not the totals", async () => {
    expect(await models()).toEqual(["a", "c", "b"]);
    expect(await models("--sort", "spend_micro_usd", "--top", "2")).toEqual(["c", "b"]);
    expect(await models("--sort", "-model")).toEqual(["c", "b", "a"]);
    expect((await cli(...BY_MODEL, "--top", "1", "-o", "table")).stdout).toMatch(/^a .*\n(?!b|c)TOTAL +1,234 /m);
    expect((await cli(...BY_MODEL, "--sort", "model")).stdout).toMatch(/^model\t.*\na\t.*\nb\t.*\nc\t/);
  });

  it("order all keys, not only those of a page", async () => {
    const { stdout } = await cli("cloud", "keys", "list", "--sort", "name", "--top", "2", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ data: [{ name: "a" }, { name: "b" }], next_page_token: null });
  });

  it.each([
    [["cloud", "usage", "--top", "3"], "add --group-by"],
    [[...BY_MODEL, "--sort", "cost"], "is not one of model, request_count, "],
    [["cloud", "keys", "list", "--sort", "size"], "is not one of id, name, "],
    [["cloud", "keys", "list", "--tree", "--top", "3"], "they cannot be combined with --tree"],
    [["cloud", "keys", "list", "--top", "0"], "--top"],
  ])("of %j are refused before a node is called", async (argv, message) => {
    const result = await runCli(argv, { ...environment(), ROUTEPLANE_URL: "http://127.0.0.1:1" });
    expect(result).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(message) });
  });
});
