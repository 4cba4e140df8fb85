import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { Code, ConnectError } from "@connectrpc/connect";
import { BudgetWindow, PolicyKind, PolicyService } from "@routeplane/contracts/policy";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CLI_BIN, runCli } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";

let home: string;
let node: FakeNode;
/** Error that the node answers an update with. */
let fault: ConnectError | undefined;
let updates: { etag: string; limit: bigint | undefined }[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-cli-"));
  [updates, fault] = [[], undefined];
  const policyOf = (limitMicroUsd: bigint) => ({
    id: "pol_1",
    name: "cap",
    kind: PolicyKind.BUDGET,
    etag: "v3",
    spec: { kind: { case: "budget" as const, value: { window: BudgetWindow.DAY, limitMicroUsd } } },
  });
  node = await startFakeNode((router) => {
    router.service(PolicyService, {
      getPolicy: () => ({ policy: policyOf(5n) }),
      updatePolicy: ({ etag, spec }) => {
        if (fault !== undefined) throw fault;
        const limit = spec?.kind.case === "budget" ? spec.kind.value.limitMicroUsd : undefined;
        updates.push({ etag, limit });
        return { policy: policyOf(limit ?? 0n) };
      },
    });
  });
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

const environment = () => ({
  ROUTEPLANE_HOME: home,
  ROUTEPLANE_URL: node.url,
  ROUTEPLANE_API_KEY: "rp_live_env",
  XDG_CONFIG_HOME: home,
});

/** Runs `policy edit` on a pseudoterminal. @param editor shell commands; $1 is the file, $n the number of this call */
async function edit(editor: string): Promise<string> {
  const path = join(home, "editor");
  await writeFile(path, `echo x >> ${home}/calls; n=$(wc -l < ${home}/calls); cp "$1" ${home}/seen-$n\n${editor}\n`);
  const variables = { NODE: process.execPath, BIN: CLI_BIN, VISUAL: `sh ${path}`, ...environment() };
  const command = `sh -c '"$NODE" "$BIN" cloud policy edit pol_1; echo "code=$?"'`;
  const screen = spawn("script", ["--quiet", "--command", command, "/dev/null"], {
    env: { PATH: process.env["PATH"], TERM: "xterm", SHELL: "/bin/sh", ...variables },
  });
  let shown = "";
  screen.stdout.setEncoding("utf8").on("data", (text: string) => (shown += text));
  await once(screen, "close");
  return shown;
}

const seen = (call: number): Promise<string> => readFile(join(home, `seen-${call}`), "utf8");

describe("policy edit", () => {
  it("sends what was edited, under the etag that was read", async () => {
    expect(await edit('sed -i "s/limit_micro_usd: 5/limit_micro_usd: 9/" "$1"')).toContain("code=0");
    expect(await seen(1)).toMatch(/^# Spec of the budget "cap"[^]*window: day\nlimit_micro_usd: 5\n/m);
    expect(updates).toEqual([{ etag: "v3", limit: 9n }]);
  });

  it("reopens a refused spec as it was written, with the reason", async () => {
    const editor = 'if [ $n = 1 ]; then sed -i "s/: 5/: -5/" "$1"; else sed -i "s/: -5/: 7/" "$1"; fi';
    expect(await edit(editor)).toContain("code=0");
    expect(await seen(2)).toMatch(/^# Refused: spec\.limit_micro_usd: [^]*limit_micro_usd: -5/);
    expect(updates).toEqual([{ etag: "v3", limit: 7n }]);
  });

  /** Reads the spec that the command says it has kept, and deletes it. */
  async function takeKept(shown: string): Promise<string> {
    const [path = ""] = /\S+\/spec\.yaml/.exec(shown) ?? [];
    const text = await readFile(path, "utf8");
    await rm(join(path, ".."), { recursive: true });
    return text;
  }

  it("fails with the refusal if the refused spec is left unchanged, and keeps the spec", async () => {
    const shown = await edit('[ $n = 1 ] && sed -i "s/: 5/: -5/" "$1"; true');
    expect(shown).toMatch(/spec\.limit_micro_usd/);
    expect(shown).not.toContain("code=0");
    expect(await takeKept(shown)).toContain("limit_micro_usd: -5");
    expect(updates).toEqual([]);
  });

  it("keeps the spec if the update fails for another reason", async () => {
    fault = new ConnectError("the policy was changed since it was read", Code.Aborted);
    const shown = await edit('sed -i "s/: 5/: 9/" "$1"');
    expect(shown).toContain("the policy was changed since it was read");
    expect(shown).toContain("code=1");
    expect(await takeKept(shown)).toContain("limit_micro_usd: 9");
  });

  it("changes nothing if nothing was edited, or the editor fails", async () => {
    const shown = await edit("true");
    expect(shown).toContain("Nothing was changed.");
    expect(shown).toContain("code=0");
    expect(shown).not.toContain("spec.yaml");
    const failed = await edit('sed -i "s/: 5/: 9/" "$1"; exit 3');
    expect(failed).toContain("code=1");
    expect(await takeKept(failed)).toContain("limit_micro_usd: 9");
    expect(updates).toEqual([]);
  });

  it("is refused without a terminal, with the command to use instead", async () => {
    const { code, stderr } = await runCli(["cloud", "policy", "edit", "pol_1"], environment());
    expect(code).toBe(2);
    expect(stderr).toContain("policy update");
    expect(node.authorizations).toEqual([]);
  });
});
