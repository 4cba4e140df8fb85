import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLI_BIN, runCli } from "./cli-process.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-start-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Files that a process of the command line loads, as paths from `packages/cli/src` or `node_modules` on. */
async function loadedFiles(...argv: readonly string[]): Promise<readonly string[]> {
  const log = join(folder, argv.join("-"));
  const preload = join(import.meta.dirname, "log-loaded-files.js");
  // No node listens there. The code of a call is loaded, and the call fails.
  const env = {
    LOADED_FILES: log,
    ROUTEPLANE_HOME: folder,
    ROUTEPLANE_URL: "http://127.0.0.1:1",
    ROUTEPLANE_API_KEY: "rp_live_x",
  };
  const ended = promisify(execFile)(process.execPath, ["--import", preload, CLI_BIN, ...argv], { env });
  await ended.catch((error: { code: unknown }) => expect(error.code).toBe(1));
  return (await readFile(log, "utf8")).split("\n").filter((url) => url.startsWith("file:"));
}

const commandsIn = (files: readonly string[]): readonly string[] =>
  files.flatMap((file) => /\/cli\/src\/commands\/(.*)$/.exec(file)?.[1] ?? []).toSorted();

describe("a command line loads only what it needs", () => {
  it("and the help loads no command, contract or client", async () => {
    const files = await loadedFiles("--help");
    expect(commandsIn(files)).toEqual(["examples.ts"]);
    expect(files.filter((file) => /contracts|connectrpc|bufbuild/.test(file))).toEqual([]);
  });

  it("and a command loads no other command", async () => {
    expect(commandsIn(await loadedFiles("cloud", "status"))).toEqual(["examples.ts", "identity.ts"]);
    expect(commandsIn(await loadedFiles("cloud", "audit", "list"))).toEqual([
      "audit.ts",
      "examples.ts",
      "export/export-file.ts",
      "export/export-rows.ts",
      "time-range.ts",
    ]);
  });
});

describe("the command help", () => {
  it.each([
    [["help"], []],
    [["help", "cloud"], ["cloud"]],
    [
      ["help", "cloud", "keys", "mint"],
      ["cloud", "keys", "mint"],
    ],
    [
      ["cloud", "help", "rate-limit"],
      ["cloud", "rate-limit"],
    ],
    [
      ["help", "admin", "dead-letters", "show"],
      ["admin", "dead-letters", "show"],
    ],
  ])("%j shows what --help of the command shows", async (argv, command) => {
    const shown = await runCli(argv, {});
    expect(shown).toEqual(await runCli([...command, "--help"], {}));
    expect(shown).toMatchObject({ code: 0, stderr: "" });
  });

  it("refuses a command that does not exist", async () => {
    expect(await runCli(["help", "cloud", "stauts"], {})).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining('cloud has no command "stauts". Did you mean status?'),
    });
  });
});
