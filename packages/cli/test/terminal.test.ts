import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { IdentityService, KeyService } from "@routeplane/contracts/auth";
import { PolicyService, PrincipalType } from "@routeplane/contracts/policy";
import { afterEach, beforeEach, expect, it } from "vitest";
import { CLI_BIN } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";

const TOKEN = "rp_live_pasted_secret";
const PROMPT = "press Enter";
const BINDING = { id: "bnd_1", policyId: "pol_1", principalType: PrincipalType.API_KEY, principalId: "key_1" };

let home: string;
let node: FakeNode;
/** Calls that changed state. */
let calls: unknown[];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-cli-"));
  calls = [];
  node = await startFakeNode((router) => {
    router.service(IdentityService, { whoAmI: () => ({}) });
    router.service(PolicyService, {
      listBindings: () => ({ bindings: [BINDING] }),
      unbindPolicy: (request) => {
        calls.push(request);
        return { binding: BINDING };
      },
    });
    router.service(KeyService, {
      mintKey: () => ({ key: { id: "key_1", createdAt: timestampNow() }, token: TOKEN }),
      revokeKey: (request) => {
        calls.push(request);
        return { key: { id: request.id, createdAt: timestampNow(), revokedAt: timestampNow() } };
      },
    });
  });
  await writeFile(join(home, "api-key"), TOKEN);
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

/** Logs in and types `keys` at the prompt for the key. Resolves to everything that the screen showed. */
const logInAtTerminal = (keys: string): Promise<string> => atTerminal("cloud login --api-key -", PROMPT, keys);

/**
 * Runs a command line on a pseudoterminal that echoes, types `keys` once `prompt` shows, and then prints the exit code and the terminal's
 * settings. Resolves to everything that the screen showed.
 */
async function atTerminal(argv: string, prompt: string, keys: string): Promise<string> {
  const command = `exec sh -c 'trap : INT; "$NODE" "$BIN" ${argv}; echo "code=$?"; stty -a'`;
  const environment = {
    NODE: process.execPath,
    BIN: CLI_BIN,
    ROUTEPLANE_HOME: home,
    ROUTEPLANE_URL: node.url,
    XDG_CONFIG_HOME: home,
  };
  const screen = spawn("script", ["--quiet", "--echo", "always", "--command", command, "/dev/null"], {
    env: { PATH: process.env["PATH"], TERM: "xterm", SHELL: "/bin/sh", ...environment },
  });
  const ended = new Promise((resolve, reject) => screen.on("close", resolve).on("error", reject));
  let shown = "";
  let hasTyped = false;
  screen.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    if (hasTyped || !shown.includes(prompt)) return;
    hasTyped = true;
    screen.stdin.write(keys);
  });
  await ended;
  return stripVTControlCharacters(shown);
}

/** Matches the settings of a terminal that shows what is typed, line by line. */
const SANE = /(^|\s)icanon\s[^]*(^|\s)echo\s/m;

it("does not show a key that is pasted at a terminal, and saves it", async () => {
  const screen = await logInAtTerminal(`${TOKEN}\r`);
  expect(screen).not.toContain(TOKEN.slice(0, 6));
  expect(screen).toContain("code=0");
  expect(screen).toMatch(SANE);
  expect(await readFile(join(home, "api-key"), "utf8")).toBe(`${TOKEN}\n`);
});

it("asks for the key without --api-key, and saves it as a context for its owner only", async () => {
  const screen = await atTerminal("cloud login --name staging", PROMPT, `${TOKEN}\r`);
  expect(screen).not.toContain(TOKEN.slice(0, 6));
  expect(screen).toContain("saved in the context staging");
  const path = join(home, "routeplane/contexts/staging.json");
  expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ url: node.url, api_key: TOKEN });
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

it.each([
  ["y", "code=0", 1],
  ["n", "code=1", 0],
  ["", "code=1", 0],
])("asks before it unbinds a policy, and takes %j for an answer", async (answer, code, count) => {
  const screen = await atTerminal("cloud policy unbind pol_1 bnd_1", "[y/N]", `${answer}\r`);
  expect(screen).toContain("Unbind pol_1 from api_key key_1?");
  expect(screen).toContain(code);
  expect(calls).toHaveLength(count);
});

it("unbinds a policy with --yes, and revokes a key, without asking", async () => {
  for (const argv of ["cloud policy unbind pol_1 bnd_1 --yes", "cloud keys revoke key_1"]) {
    const screen = await atTerminal(argv, "[y/N]", "n\r");
    expect(screen).not.toContain("[y/N]");
    expect(screen).toContain("code=0");
  }
  expect(calls).toHaveLength(2);
});

it.each(["", "< /dev/null"])("sends the command of `run %s` one Ctrl-C, as the terminal does", async (redirection) => {
  const source = `let count = 0;
    const report = () => { console.log("signals=" + count); process.exit(0); };
    process.on("SIGINT", () => { if (++count === 1) setTimeout(report, 500); });
    setInterval(() => {}, 1000);
    console.log("waits for Ctrl-C");`;
  const path = join(home, "command.cjs");
  await writeFile(path, source);
  const screen = await atTerminal(`run -- "$NODE" ${path} ${redirection}`, "waits for Ctrl-C", "\u0003");
  expect(screen).toContain("signals=1");
  expect(screen).toContain("code=0");
});
