import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";

let script: string;
beforeAll(async () => {
  script = (await runCli(["completion", "bash"], {})).stdout;
});

/** Words that bash offers at the end of a command line. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const lines = `${script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _routeplane; printf "%s\\n" "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)("bash", ["--norc", "-c", lines, "bash", "routeplane", ...words]);
  return stdout.trim().split("\n");
}

describe("the completion of a shell", () => {
  it.each([
    [["cl"], ["cloud"]],
    [["cloud", "keys", "m"], ["mint"]],
    [
      ["cloud", "--json", "keys", "r"],
      ["rotate", "revoke"],
    ],
    [
      ["cloud", "policy", "bind", "pol_1", "--princ"],
      ["--principal-type", "--principal-id"],
    ],
    [
      ["cloud", "policy", "bind", "pol_1", "--principal-type", ""],
      ["api_key", "namespace"],
    ],
    [["cloud", "budget", "create", "--window", "w"], ["week"]],
    [["cloud", "policy", "create", "--spec", ""], [""]],
    [["completion", "z"], ["zsh"]],
  ])("after %j offers %j", async (words, expected) => {
    expect(await offered(...words)).toEqual(expected);
  });

  it.each(["bash", "zsh", "fish"])("knows every command and flag in %s", async (shell) => {
    const { code, stdout } = await runCli(["completion", shell], {});
    expect(code).toBe(0);
    for (const word of ["for-principal", "rate-limit", "--bind-namespace", "--clear-guardrail", "dead-letters"]) {
      expect(stdout).toContain(word);
    }
  });

  it("is for the shell in use unless one is named, and refuses an unknown one", async () => {
    const { stdout } = await runCli(["completion", "--json"], { SHELL: "/usr/bin/fish" });
    expect(JSON.parse(stdout)).toMatchObject({
      shell: "fish",
      script: expect.stringContaining("complete -c routeplane"),
    });
    expect((await runCli(["completion"], {})).stdout).toBe(script);
    expect(await runCli(["completion", "tcsh"], {})).toMatchObject({ code: 2, stdout: "" });
  });
});
