import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Code } from "@connectrpc/connect";
import { IdentityService, KeyService, NamespaceService } from "@routeplane/contracts/auth";
import { PolicyService } from "@routeplane/contracts/policy";
import { eventually, findOrInstall } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLI_BIN, runCli, runCliProcess } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeHttpServer, startFakeNode } from "./fake-node.ts";
import { offeredInFish, offeredInZsh, SHELL_PROGRAMS } from "./shells.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const KEYS = [
  { id: "key_1", name: "agent" },
  { id: "key_2", name: "twin" },
  { id: "key_3", name: "twin" },
  { id: "key_4", name: "$(touch run-by-shell)" },
  { id: "key_5", name: "`touch run-by-shell`" },
  { id: "key_6", name: "two words; exit" },
  { id: "key_7", name: "--json" },
  { id: "key_8", name: "key_1" },
  { id: "key_9", name: "gone", revokedAt: AT },
  { id: "key_10", name: `it's "quoted"` },
].map((key) => Object.assign(key, { createdAt: AT }));

let script: string;
let folder: string;
let node: FakeNode;
beforeAll(async () => {
  script = (await runCli(["completion", "bash"], {})).stdout;
  folder = await mkdtemp(join(tmpdir(), "routeplane-completion-"));
  await writeFile(join(folder, "routeplane"), `#!/bin/sh\nexec "${process.execPath}" "${CLI_BIN}" "$@"\n`, {
    mode: 0o755,
  });
  await writeFile(join(folder, "npx"), '#!/bin/sh\n[ "$1 $2" = "--no routeplane" ] && shift && exec "$@"\n', {
    mode: 0o755,
  });
  await mkdir(join(folder, "routeplane-config/routeplane/contexts"), { recursive: true });
  await writeFile(join(folder, "routeplane-config/routeplane/contexts/staging.json"), "{}");
  node = await startFakeNode((router) => {
    router.service(KeyService, { listKeys: () => ({ keys: KEYS }) });
    router.service(PolicyService, {
      listPolicies: () => ({ policies: [{ id: "pol_1", name: "daily-cap", createdAt: AT }] }),
    });
    router.service(NamespaceService, {
      listNamespaces: () => ({ namespaces: [{ id: "ns_1", name: "team", createdAt: AT }] }),
    });
    router.service(IdentityService, {
      whoAmI: () => ({
        identity: { case: "key", value: { keyId: "key_1", namespaceId: "ns_1", namespaceName: "team" } },
      }),
    });
  });
});
afterAll(async () => {
  await node[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Variables of a shell that has `routeplane` and `npx`, and a login at the node. */
function environment(): Readonly<Record<string, string>> {
  return {
    PATH: `${folder}:${process.env["PATH"] ?? ""}`,
    HOME: folder,
    XDG_CONFIG_HOME: join(folder, "routeplane-config"),
    ROUTEPLANE_URL: node.url,
    ROUTEPLANE_API_KEY: "rp_live_x",
  };
}

/** Words that bash offers at the end of a command line. @param words the first one is the command, with its completion function */
async function offeredBy(complete: string, words: readonly string[]): Promise<readonly string[]> {
  const lines = `${script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ${complete}; printf "%s\\n" "\${COMPREPLY[@]}"`;
  const env = environment();
  const { stdout, stderr } = await promisify(execFile)("bash", ["--norc", "-c", lines, "bash", ...words], {
    env,
    cwd: folder,
  });
  expect(stderr).toBe("");
  return stdout.trim().split("\n");
}

const offered = (...words: readonly string[]) => offeredBy("_routeplane", ["routeplane", ...words]);

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
    [
      ["cloud", "keys", "mint", "--window", "c"],
      ["calendar_day", "calendar_month"],
    ],
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

  it("is for the shell in use unless another is named, and an unknown shell is refused", async () => {
    const { stdout } = await runCli(["completion", "--json"], { SHELL: "/usr/bin/fish" });
    expect(JSON.parse(stdout)).toMatchObject({
      shell: "fish",
      script: expect.stringContaining("complete -c routeplane"),
    });
    expect((await runCli(["completion"], {})).stdout).toBe(script);
    expect(await runCli(["completion", "tcsh"], {})).toMatchObject({ code: 2, stdout: "" });
  });
});

const KEY_WORDS = ["agent", "key_2", "key_3", "key_4", "key_5", "key_6", "key_7", "key_8", "key_10"];

describe.each([
  { shell: "fish", offeredIn: offeredInFish },
  { shell: "zsh", offeredIn: offeredInZsh },
])("the completion of $shell itself", ({ shell, offeredIn }) => {
  let shellScript: string;
  beforeAll(async () => {
    await findOrInstall(SHELL_PROGRAMS);
    shellScript = (await runCli(["completion", shell], {})).stdout;
  }, 720_000);

  const offer = (line: string) => offeredIn({ script: shellScript, folder, env: environment() }, line);
  const names = (words: readonly string[]) => words.filter((word) => !word.startsWith("-")).toSorted();

  it.each([
    ["commands", "routeplane cloud keys r", ["revoke", "rotate"]],
    ["values of an option", "routeplane cloud budget create --window w", ["week"]],
    ["keys, by id where a name is of several or no plain word", "routeplane cloud keys get ", KEY_WORDS.toSorted()],
    ["policies", "routeplane cloud policy get da", ["daily-cap"]],
    ["contexts", "routeplane cloud keys list --context ", ["home", "staging"]],
    ["names behind other words for the command", "routeplane cloud key show ag", ["agent"]],
    ["names behind a word with blanks", 'routeplane cloud budget create --name "a cap" --bind-key ag', ["agent"]],
    ["names behind a word with a quote", "routeplane cloud budget create --name it\\'s --bind-key ag", ["agent"]],
    ["names for npx", "npx routeplane cloud keys get ag", ["agent"]],
    ["commands for npx with an option", "npx --no routeplane cloud bud", ["budget"]],
  ])("offers %s", async (_, line, expected) => {
    let found: readonly string[] = [];
    // A look-up times out after a second; a busy machine may need that long.
    await eventually(async () => (found = names((await offer(line)).words)).length > 0);
    expect(found).toEqual(expected);
    expect(await readdir(folder)).not.toContain("run-by-shell");
  });

  it("offers no names of the node after another package of npx", async () => {
    const before = node.authorizations.length;
    expect((await offer("npx other cloud keys get ag")).words).not.toContain("agent");
    expect(node.authorizations).toHaveLength(before);
  });
});

it("completes the line in zsh with an offered name", async () => {
  const zshScript = (await runCli(["completion", "zsh"], {})).stdout;
  const home = { script: zshScript, folder, env: environment() };
  const lineAfter = async (line: string) => (await offeredInZsh(home, line)).line;
  await eventually(
    async () => (await lineAfter("routeplane cloud keys get ag")) === "routeplane cloud keys get agent ",
  );
});

describe("the names that a shell completes", () => {
  it.each([
    ["keys, by id where a name is of several or no plain word", ["cloud", "keys", "get", ""], KEY_WORDS],
    ["keys that begin with a text", ["cloud", "keys", "revoke", "ag"], ["agent"]],
    ["keys of a repeatable option", ["cloud", "budget", "create", "--bind-key", "ag"], ["agent"]],
    ["keys of a filter", ["cloud", "usage", "--key", "ag"], ["agent"]],
    ["policies", ["cloud", "policy", "get", "da"], ["daily-cap"]],
    ["principals", ["cloud", "policy", "effective", "team"], ["team"]],
    ["namespaces", ["cloud", "namespace", "delete", "t"], ["team"]],
    ["contexts", ["cloud", "keys", "list", "--context", ""], ["home", "staging"]],
    ["contexts to use", ["cloud", "context", "use", "s"], ["staging"]],
    ["those behind other words for the command", ["cloud", "key", "show", "ag"], ["agent"]],
  ])("are %s", async (_, words, expected) => {
    expect((await offered(...words)).filter((word) => !word.startsWith("--"))).toEqual(expected);
    expect(await readdir(folder)).not.toContain("run-by-shell");
  });

  it("are those of `npx routeplane` too, and of no other package", async () => {
    expect(await offeredBy("_routeplane_npx", ["npx", "routeplane", "cloud", "keys", "get", "ag"])).toEqual(["agent"]);
    expect(await offeredBy("_routeplane_npx", ["npx", "--no", "routeplane", "cloud", "bud"])).toEqual(["budget"]);
    expect(await offeredBy("_routeplane_npx", ["npx", "other", "cloud", "keys", "get", "ag"])).toEqual([""]);
  });

  it("are looked up only where a name can be", async () => {
    const before = node.authorizations.length;
    await offered("cloud", "keys", "get", "--");
    await offered("cloud", "ke");
    expect(node.authorizations).toHaveLength(before);
  });

  const silent = { code: 0, stdout: "", stderr: "" };
  const named = (environment: Record<string, string>) =>
    runCliProcess(["completion", "--names", "keys"], { ROUTEPLANE_HOME: "/nonexistent", ...environment });

  it("are none, without an error, if the node refuses, is down, or there is no login", async () => {
    const listKeys = () => Promise.reject(refusal(Code.PermissionDenied, "SCOPE_MISSING", "no scope"));
    await using refusing = await startFakeNode((router) => router.service(KeyService, { listKeys }));
    await using other = await startFakeHttpServer((_, response) => response.end("<html>"));
    for (const url of [refusing.url, other.url, "http://127.0.0.1:1", "not an address"]) {
      expect(await named({ ROUTEPLANE_URL: url, ROUTEPLANE_API_KEY: "rp_live_x" })).toEqual(silent);
    }
    expect(await named({})).toEqual(silent);
    expect(await named({ ROUTEPLANE_CONTEXT: "../evil" })).toEqual(silent);
  });

  it("are none if the node does not answer, and the process ends by itself", async () => {
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const { port } = mute.address() as AddressInfo;
    expect(await named({ ROUTEPLANE_URL: `http://127.0.0.1:${port}`, ROUTEPLANE_API_KEY: "rp_live_x" })).toEqual(
      silent,
    );
    mute.close();
  });
});
