import { describe, expect, it } from "vitest";
import { runCli, runCliInShell, runCliProcess } from "./cli-process.ts";

/** Settings with an address where nothing listens: every call of a node fails. */
const NOWHERE = {
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: "http://127.0.0.1:1",
  ROUTEPLANE_API_KEY: "rp_live_x",
};
const BUDGET = ["cloud", "budget", "create"];
const MINT = ["cloud", "keys", "mint"];
const UPDATE = ["cloud", "keys", "update"];
const ROTATE = ["cloud", "keys", "rotate", "key_1"];
const REVOKE = ["cloud", "keys", "revoke"];
const EXPORT = ["cloud", "requests", "export", "--format", "csv"];
const BACKWARDS = ["--from", "2026-06-01T00:00:00Z", "--to", "2026-05-01T00:00:00Z"];

describe("an invalid command line exits with 2, reports what is wrong, and calls no node", () => {
  it.each([
    ["no command", [], "a subcommand is missing"],
    ["unknown command", ["clod"], "Did you mean cloud?"],
    ["unknown subcommand", ["cloud", "stauts"], "Did you mean status?"],
    ["group alone", ["cloud", "keys"], "a subcommand is missing"],
    ["unknown flag", ["cloud", "status", "--jsn"], "Did you mean --json?"],
    ["superfluous argument", ["cloud", "status", "now"], "too many arguments"],
    ["missing argument", ["cloud", "keys", "revoke"], "missing required argument 'name|id'"],
    ["missing flag", [...MINT, "--name", "x"], "--scope"],
    ["flag without value", ["cloud", "usage", "--from"], "argument missing"],
    ["blank name", [...MINT, "--name", " ", "--scope", "keys:read"], "must not be blank"],
    ["no scope", [...MINT, "--name", "x", "--scope", ""], "at least one scope"],
    ["expiry without offset", [...MINT, "--name", "x", "--scope", "a:b", "--expires-at", "2027-01-01T00:00"], "offset"],
    ["from and since", ["cloud", "usage", "--from", "1h", "--since", "2h"], "cannot be used with option"],
    ["unknown time zone", ["cloud", "usage", "--time-zone", "Mars/Base"], "name of a time zone"],
    ["nothing to update", [...UPDATE, "key_1"], "give --name, --scope or --expires-at"],
    ["no scope to update", [...UPDATE, "key_1", "--scope", " "], "at least one scope"],
    ["grace negative", [...ROTATE, "--grace", "-1h"], "from 0s to 7d"],
    ["grace too long", [...ROTATE, "--grace", "8d"], "from 0s to 7d"],
    ["grace fractional", [...ROTATE, "--grace", "1.5h"], "from 0s to 7d"],
    ["grace without unit", [...ROTATE, "--grace", "60"], "from 0s to 7d"],
    ["rotate nothing", ["cloud", "keys", "rotate"], "missing required argument 'name|id'"],
    ["reason blank", [...REVOKE, "key_1", "--reason", " "], "must not be blank"],
    ["reason too long", [...REVOKE, "key_1", "--reason", "x".repeat(201)], "at most 200"],
    ["limit zero", [...BUDGET, "--name", "x", "--window", "day", "--limit-micro-usd", "0"], "from 1 to"],
    ["limit negative", [...BUDGET, "--name", "x", "--window", "day", "--limit-micro-usd", "-1"], "from 1 to"],
    ["limit fractional", [...BUDGET, "--name", "x", "--window", "day", "--limit-micro-usd", "0.5"], "whole number"],
    ["unknown window", [...BUDGET, "--name", "x", "--window", "year", "--limit-micro-usd", "1"], "hour, day, week"],
    ["unknown principal type", ["cloud", "policy", "bind", "pol_1", "--principal-type", "user"], "api_key, namespace"],
    ["unknown kind", ["cloud", "policy", "list", "--kind", "cap"], "budget"],
    ["time without offset", ["cloud", "usage", "--from", "2026-05-01T00:00:00"], "offset"],
    ["usage from after to", ["cloud", "usage", ...BACKWARDS], "--from must be before --to"],
    ["requests from after to", ["cloud", "requests", ...BACKWARDS], "--from must be before --to"],
    ["export from after to", [...EXPORT, ...BACKWARDS], "--from must be before --to"],
    ["audit from after to", ["cloud", "audit", "list", ...BACKWARDS], "--from must be before --to"],
    ["reconcile from after to", ["admin", "reconcile", ...BACKWARDS], "--from must be before --to"],
    ["page of a tree", ["cloud", "keys", "list", "--tree", "--limit", "2"], "'--limit <number>'"],
    ["page of an export", [...EXPORT, "--limit", "2"], "'--limit <number>' cannot be used with export"],
    ["page token of an export", [...EXPORT, "--page-token", "x"], "'--page-token <token>' cannot be used with export"],
    [
      "following export",
      ["cloud", "requests", "--follow", "export", "--format", "csv"],
      "'--follow' cannot be used with export",
    ],
    [
      "page to follow",
      ["cloud", "requests", "--follow", "--limit", "25"],
      "'--follow' cannot be used with option '--limit",
    ],
    [
      "page token to follow",
      ["cloud", "requests", "--follow", "--page-token", "x"],
      "'--follow' cannot be used with option '--page",
    ],
    ["too many rows", ["cloud", "requests", "--limit", "1000001"], "from 1 to 1000000"],
    ["namespace in upper case", ["cloud", "namespace", "create", "Prod"], "lower-case"],
    [
      "no terminal to confirm on",
      ["cloud", "namespace", "delete", "prod"],
      "this deletes the namespace prod: all its keys stop",
    ],
    ["port out of range", ["up", "--port", "70000"], "from 1 to 65535"],
    ["no ports for all gateways", ["up", "--port", "65535", "--gateways", "2"], "beyond 65535"],
  ])("%s", async (_, argv, message) => {
    const { code, stdout, stderr } = await runCli(argv, NOWHERE);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("is one JSON error on stderr under --json, at any position", async () => {
    for (const argv of [
      ["--json", "cloud", "keys"],
      ["cloud", "keys", "--json"],
      ["cloud", "--json", "stauts"],
    ]) {
      const { code, stderr } = await runCli(argv, NOWHERE);
      expect(code).toBe(2);
      expect(JSON.parse(stderr)).toMatchObject({
        error: { code: "invalid_argument", reason: "COMMAND_LINE_INVALID", hint: expect.stringContaining("--help") },
      });
    }
  });

  it("includes a wrong environment, without repeating an address that can hold a password", async () => {
    const url = await runCli(["cloud", "status"], { ...NOWHERE, ROUTEPLANE_URL: "http://me:hunter2@node" });
    expect(url).toMatchObject({ code: 2, stderr: expect.stringContaining("ROUTEPLANE_URL") });
    expect(url.stderr).not.toContain("hunter2");
    const port = await runCli(["up"], { ...NOWHERE, ROUTEPLANE_PORT: "http" });
    expect(port).toMatchObject({ code: 2, stderr: expect.stringContaining("ROUTEPLANE_PORT") });
  });

  it("never repeats a token that was pasted into the wrong place", async () => {
    const { stderr } = await runCli(["cloud", "rp_live_abc_def_ghi"], NOWHERE);
    expect(stderr).toContain("[redacted]");
    expect(stderr).not.toContain("abc_def");
    const environment = { ...NOWHERE, ROUTEPLANE_URL: "http://127.0.0.1:1", XDG_CONFIG_HOME: "/nonexistent" };
    for (const format of ["table", "json"]) {
      const used = await runCli(["cloud", "namespace", "use", "rp_live_abc_def_ghi", "-o", format], environment);
      expect(used).toMatchObject({ code: 4, stderr: expect.stringContaining("keys mint --namespace rp_[redacted]") });
      expect(used.stderr).not.toContain("abc_def");
    }
  });
});

describe("help", () => {
  it.each([
    [[]],
    [["up"]],
    [["cloud"]],
    [["cloud", "keys"]],
    [MINT],
    [UPDATE],
    [ROTATE],
    [REVOKE],
    [BUDGET],
    [["cloud", "policy", "bind"]],
  ])("of %j goes to stdout, with examples", async (argv) => {
    const { code, stdout, stderr } = await runCli([...argv, "--help"], NOWHERE);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    if (argv.join(" ") !== "cloud") expect(stdout).toContain("$ ");
    expect(stdout).toContain("--json");
  });

  it("documents the exit codes", async () => {
    const { stdout } = await runCli(["--help"], NOWHERE);
    for (const line of ["0  done", "1  the command failed", "2  the command line is wrong", "4  not signed in"]) {
      expect(stdout).toContain(line);
    }
  });
});

describe("the process", () => {
  it("ends with the exit code of the command, and its output on the right streams", async () => {
    const wrong = await runCliProcess(["cloud", "stauts"], NOWHERE);
    expect(wrong).toEqual({ code: 2, stdout: "", stderr: expect.stringContaining("Did you mean status?") });
    const right = await runCliProcess(["--version"], NOWHERE);
    expect(right).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: "" });
  });

  it("reports that stdout cannot be written, and nothing if its reader has closed it", async () => {
    const full = await runCliInShell('exec "$0" "$@" > /dev/full', ["--help"], NOWHERE);
    expect(full).toMatchObject({ code: 1, stderr: expect.stringContaining("cannot write") });
    const unread = await runCliInShell('{ sleep 0.2; "$0" "$@"; echo "$?" >&2; } | true', ["--help"], NOWHERE);
    expect(unread).toEqual({ code: 0, stdout: "", stderr: "0\n" });
  });

  it("keeps its result if stderr cannot be written", async () => {
    expect(await runCliInShell('"$0" "$@" 2> /dev/full; echo "$?"', ["bogus"], NOWHERE)).toMatchObject({
      stdout: "2\n",
    });
  });
});
