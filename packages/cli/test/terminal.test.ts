import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { IdentityService } from "@routeplane/contracts/auth";
import { afterEach, beforeEach, expect, it } from "vitest";
import { CLI_BIN } from "./cli-process.ts";
import { type NodeDouble, startNodeDouble } from "./node-double.ts";

const TOKEN = "rp_live_pasted_secret";
const PROMPT = "press Enter";

let home: string;
let node: NodeDouble;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-cli-"));
  node = await startNodeDouble((router) => void router.service(IdentityService, { whoAmI: () => ({}) }));
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

/**
 * Runs `login --api-key -` on a pseudoterminal that echoes, types `keys` once it asks for the key, and then prints the exit
 * code and the terminal's settings. Resolves with all that the screen showed.
 */
async function logInAtTerminal(keys: string): Promise<string> {
  const command = `sh -c '"$NODE" "$BIN" cloud login --api-key -; echo "code=$?"; stty -a'`;
  const environment = { NODE: process.execPath, BIN: CLI_BIN, ROUTEPLANE_HOME: home, ROUTEPLANE_URL: node.url };
  const screen = spawn("script", ["--quiet", "--echo", "always", "--command", command, "/dev/null"], {
    env: { PATH: process.env["PATH"], TERM: "xterm", SHELL: "/bin/sh", ...environment },
  });
  const ended = new Promise((resolve, reject) => screen.on("close", resolve).on("error", reject));
  let shown = "";
  let hasTyped = false;
  screen.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    if (hasTyped || !shown.includes(PROMPT)) return;
    hasTyped = true;
    screen.stdin.write(keys);
  });
  await ended;
  return stripVTControlCharacters(shown);
}

/** Of a terminal that shows what is typed, line by line. */
const SANE = /(^|\s)icanon\s[^]*(^|\s)echo\s/m;

it("does not show a key that is pasted at a terminal, and saves it", async () => {
  const screen = await logInAtTerminal(`${TOKEN}\r`);
  expect(screen).not.toContain(TOKEN.slice(0, 6));
  expect(screen).toContain("code=0");
  expect(screen).toMatch(SANE);
  expect(await readFile(join(home, "api-key"), "utf8")).toBe(`${TOKEN}\n`);
});

it("lets a key be corrected before Enter, without showing it", async () => {
  const screen = await logInAtTerminal(`wrong\u0015${TOKEN}x\u007f\r`);
  expect(screen).not.toContain("rp_live");
  expect(screen).not.toContain("wrong");
  expect(await readFile(join(home, "api-key"), "utf8")).toBe(`${TOKEN}\n`);
});

it.each([
  ["Ctrl-C", `${TOKEN}\u0003`],
  ["Ctrl-D", "\u0004"],
])("saves nothing after %s, and leaves the terminal as it was", async (_, keys) => {
  const screen = await logInAtTerminal(keys);
  expect(screen).not.toContain(TOKEN.slice(0, 6));
  expect(screen).toMatch(/nothing was saved/);
  expect(screen).toContain("code=1");
  expect(screen).toMatch(SANE);
  expect(node.authorizations).toEqual([]);
});
