import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { RequestStatus, UsageService } from "@routeplane/contracts/usage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, runCliInShell, spawnCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const row = (id: string) => ({ id, keyId: "key_1", status: RequestStatus.SUCCEEDED, createdAt: AT, model: 'a "b", c' });

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
});

const KEY = "key_01kayeqtfnexes8b2c1x4m9d7z";

/** Starts a node that has `KEY`. */
const usage = (implementation: Partial<ServiceImpl<typeof UsageService>>): Promise<FakeNode> =>
  startFakeNode((router) => {
    router.service(UsageService, implementation);
    router.service(KeyService, { getKey: ({ id }) => ({ key: { id } }) });
  });

/** Shell script that limits files to 4 KiB: as on a full disk, one part is written and the rest fails. */
const SHORT_OF_SPACE = 'ulimit -f 8; exec "$0" "$@"';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-export-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("an export of JSON lines sends no control character to the terminal, and parses to the same text", async () => {
  const hostile = "a\u009b2J\u009d0;title\u0007\u202eb\u2028";
  await using node = await usage({ listRequests: () => ({ requests: [{ ...row("req_1"), upstreamError: hostile }] }) });
  const { stdout } = await runCli(["cloud", "requests", "export", "--format", "jsonl"], as(node.url));
  expect(stdout).toMatch(/^[\x20-\x7e]+\n$/);
  expect(JSON.parse(stdout)).toMatchObject({ upstream_error: hostile });
});

describe.concurrent("requests --follow", () => {
  it("resumes where a stream ended, cleanly or not, and prints each request once", async () => {
    const tokens: string[] = [];
    await using node = await usage({
      async *watchRequests({ resumeToken }) {
        tokens.push(resumeToken);
        const calls = tokens.length;
        if (calls === 1) yield { requests: [row("req_1"), row("req_2")], resumeToken: "t1" };
        if (calls === 2) throw refusal(Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "away");
        if (calls === 3) throw refusal(Code.ResourceExhausted, "LIMIT_REACHED", "5 streams are open");
        if (calls === 4) yield { requests: [row("req_3")], resumeToken: "t2" };
        if (calls > 4) throw refusal(Code.Unauthenticated, "CREDENTIAL_REVOKED", "revoked");
      },
    });
    const followed = await runCli(["cloud", "requests", "--follow", "--json"], as(node.url));
    const lines = followed.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string });
    expect(lines.map(({ id }) => id)).toEqual(["req_1", "req_2", "req_3"]);
    expect(tokens).toEqual(["", "t1", "t1", "t1", "t2"]);
    expect(followed.code).toBe(4);
  });

  it("fails at once if the first stream fails", async () => {
    await using node = await usage({
      // eslint-disable-next-line require-yield
      async *watchRequests() {
        throw refusal(Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "away");
      },
    });
    expect(await runCli(["cloud", "requests", "--follow"], as(node.url))).toMatchObject({ code: 1 });
  });

  it("ends at Ctrl-C", async () => {
    await using node = await usage({
      async *watchRequests() {
        yield { requests: [row("req_1")], resumeToken: "t1" };
      },
    });
    const child = spawnCli(["cloud", "requests", "--follow"], as(node.url));
    let stdout = "";
    child.stdout.setEncoding("utf8");
    await new Promise<void>((resolve) => {
      child.stdout.on("data", (text: string) => {
        stdout += text;
        if (stdout.includes("req_1")) resolve();
      });
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    child.kill("SIGINT");
    await ended;
  });
});

describe.concurrent("requests export", () => {
  /** Starts a node with two pages of requests. The first read of the second page fails. */
  function twoPages() {
    const received: { pageToken: string; from: string; to: bigint | undefined }[] = [];
    const listRequests: ServiceImpl<typeof UsageService>["listRequests"] = ({ pageToken, filter }) => {
      received.push({ pageToken, from: `${filter?.from?.seconds}.${filter?.from?.nanos}`, to: filter?.to?.seconds });
      if (pageToken === "") return { requests: [row("req_2")], nextPageToken: "t1" };
      if (received.length === 2) throw refusal(Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "away");
      return { requests: [row("req_1")] };
    };
    return { received, node: usage({ listRequests }) };
  }

  it.each(["csv", "jsonl"])(
    "to %s resumes after an interruption with the rows of its original range, each exactly once",
    async (format) => {
      const { received, node: starting } = twoPages();
      await using node = await starting;
      const output = join(folder, `resumed.${format}`);
      const selected = ["--key", KEY, "--since", "24h"];
      const argv = ["cloud", "requests", "export", "--format", format, "--output", output, ...selected];
      expect(await runCli(argv, as(node.url))).toMatchObject({ code: 1 });
      expect((await runCli(argv, as(node.url))).stderr).toContain("--resume");
      expect(await runCli([...argv, "--status", "failed", "--resume"], as(node.url))).toMatchObject({ code: 2 });
      const resumed = await runCli([...argv, "--resume", "--json"], as(node.url));
      expect(JSON.parse(resumed.stdout)).toEqual({ file: output, format, request_count: 2 });
      expect(received.map(({ pageToken }) => pageToken)).toEqual(["", "t1", "t1"]);
      expect(new Set(received.map(({ to }) => to)).size).toBe(1);
      // A span is counted from the start of the export, not from the start of its second part.
      expect(new Set(received.map(({ from }) => from)).size).toBe(1);
      const text = await readFile(output, "utf8");
      const ids = format === "csv" ? /^req_\d/gm : /(?<="id":")req_\d/g;
      expect(text.match(ids)).toEqual(["req_2", "req_1"]);
      expect((await readdir(folder)).filter((name) => name.startsWith(`resumed.${format}`))).toEqual([
        `resumed.${format}`,
      ]);
    },
  );

  it.each([{ output: [] }, { output: ["--output", "-"] }])(
    "writes only rows to stdout: $output",
    async ({ output }) => {
      const pages = { "": { requests: [row("req_2")], nextPageToken: "t1" }, t1: { requests: [row("req_1")] } };
      await using node = await usage({ listRequests: ({ pageToken }) => pages[pageToken as "" | "t1"] });
      const argv = ["cloud", "requests", "export", "--format", "jsonl", ...output];
      const { code, stdout, stderr } = await runCli([...argv, "--json"], as(node.url));
      const ids = stdout.split("\n").map((line) => line && (JSON.parse(line) as { id: string }).id);
      expect({ code, ids, stderr }).toEqual({ code: 0, ids: ["req_2", "req_1", ""], stderr: "" });
      expect((await runCli(argv, as(node.url))).stderr).toBe("2 requests\n");
      expect(await runCli([...argv, "--resume"], as(node.url))).toMatchObject({ code: 2, stdout: "" });
    },
  );

  it("leaves stdout empty, without the CSV header, if the first call is refused", async () => {
    await using node = await usage({
      listRequests: () => Promise.reject(refusal(Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "away")),
    });
    const refused = await runCli(["cloud", "requests", "export", "--format", "csv"], as(node.url));
    expect(refused).toMatchObject({ code: 1, stdout: "" });
  });

  it("reports that the disk is full, and resumes with every row once there is space", async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `req_${index}`);
    const pages = { "": ids.slice(0, 2), t1: ids.slice(2) };
    await using node = await usage({
      listRequests: ({ pageToken }) => ({
        requests: pages[pageToken as "" | "t1"].map(row),
        nextPageToken: pageToken === "" ? "t1" : "",
      }),
    });
    const output = join(folder, "full.jsonl");
    const argv = ["cloud", "requests", "export", "--format", "jsonl", "--output", output];
    const full = await runCliInShell(SHORT_OF_SPACE, [...argv, "--json"], as(node.url));
    expect(full).toMatchObject({ code: 1, stdout: "" });
    expect(JSON.parse(full.stderr)).toMatchObject({ error: { reason: "FILE_UNWRITABLE" } });
    expect(await runCli([...argv, "--resume"], as(node.url))).toMatchObject({ code: 0 });
    const lines = (await readFile(output, "utf8")).trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(ids);
  });

  it.each([
    ["the progress is no JSON", "damaged-1.jsonl", ".progress", "{"],
    ["the progress has no position", "damaged-2.jsonl", ".progress", '{"what":"{}","to":"2026-05-01T00:00:00Z"}'],
    ["the exported rows are gone", "damaged-3.jsonl", "", ""],
  ])("refuses to resume if %s, and changes nothing", async (_, name, suffix, content) => {
    await using node = await usage({
      listRequests: ({ pageToken }) => {
        if (pageToken === "t1") return Promise.reject(refusal(Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "away"));
        return { requests: [row("req_1")], nextPageToken: "t1" };
      },
    });
    const output = join(folder, name);
    const argv = ["cloud", "requests", "export", "--format", "jsonl", "--output", output];
    expect(await runCli(argv, as(node.url))).toMatchObject({ code: 1 });
    await writeFile(`${output}${suffix}`, content);
    const read = () => Promise.all([readFile(output, "utf8"), readFile(`${output}.progress`, "utf8")]);
    const before = await read();
    const { code, stderr } = await runCli([...argv, "--resume"], as(node.url));
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("export again") });
    expect(await read()).toEqual(before);
  });

  it("keeps the saved progress if no new one can be written", async () => {
    await using node = await usage({
      listRequests: ({ pageToken }) =>
        pageToken === "" ? { requests: [row("req_2")], nextPageToken: "t".repeat(5000) } : { requests: [row("req_1")] },
    });
    const output = join(folder, "lost.jsonl");
    const argv = ["cloud", "requests", "export", "--format", "jsonl", "--output", output];
    expect(await runCliInShell(SHORT_OF_SPACE, argv, as(node.url))).toMatchObject({ code: 1 });
    expect(await runCli([...argv, "--resume"], as(node.url))).toMatchObject({ code: 0 });
    expect((await readFile(output, "utf8")).match(/(?<="id":")req_\d/g)).toEqual(["req_2", "req_1"]);
    expect((await readdir(folder)).filter((name) => name.startsWith("lost"))).toEqual(["lost.jsonl"]);
  });

  it("writes no CSV cell that a spreadsheet would run, and JSON lines unchanged", async () => {
    const model = "=cmd|' /C calc'!A0";
    await using node = await usage({ listRequests: () => ({ requests: [Object.assign(row("req_1"), { model })] }) });
    const exported = (format: string) =>
      runCli(["cloud", "requests", "export", "--format", format], as(node.url)).then(({ stdout }) => stdout);
    expect(await exported("csv")).toContain(`,'${model},`);
    expect(JSON.parse(await exported("jsonl"))).toMatchObject({ model });
  });

  it("writes CSV as in RFC 4180, with the field names of --json", async () => {
    await using node = await usage({ listRequests: () => ({ requests: [row("req_1")] }) });
    const output = join(folder, "plain.csv");
    await runCli(["cloud", "requests", "export", "--format", "csv", "--output", output], as(node.url));
    const [head, line, rest] = (await readFile(output, "utf8")).split("\r\n");
    expect(head).toMatch(/^id,key_id,status,endpoint,model,/);
    expect(line).toMatch(
      /^req_1,key_1,succeeded,,"a ""b"", c",,0,0,0,0,false,false,,,,,,\[\],2026-05-01T00:00:00\.000Z,{12}$/,
    );
    expect(rest).toBe("");
  });
});
