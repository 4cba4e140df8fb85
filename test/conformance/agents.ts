import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "@routeplane/testing";
import { cliJson, mintKey, type RequestRow } from "../harness/gateway.ts";
import { MODELS, type Routeplane, startRouteplane } from "./routeplane.ts";
import { AGENT_ANSWER, startAgentUpstream } from "./upstream/agent-upstream.ts";
import type { UpstreamWire } from "./upstream/received.ts";

/**
 * Runs coding agents in a scratch folder, through a node to a scripted model that runs one command: `npm run agents`. It installs the
 * agents from the registry, 800 MB, into a folder that is removed, or into the one that ROUTEPLANE_AGENTS names. Prints, for each agent and
 * upstream wire, what the request log has recorded.
 */

interface Agent {
  readonly name: string;
  readonly command: (url: string, model: string) => readonly string[];
  readonly environment: (url: string, apiKey: string) => Readonly<Record<string, string>>;
}

const PACKAGES = ["@anthropic-ai/claude-code@2.1.332", "@openai/codex@0.171.0"];
/** Requests of a correct run: one that ends with the call, one with its result. */
const REQUESTS = 2;
const PROMPT = "Write agent.txt";
const execute = promisify(execFile);

const AGENTS: readonly Agent[] = [
  {
    name: "claude-code",
    command: (_, model) => ["claude", "-p", PROMPT, "--model", model, "--allowedTools", "Bash"],
    environment: (url, apiKey) => ({
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: apiKey,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      DISABLE_AUTOUPDATER: "1",
    }),
  },
  {
    name: "codex",
    command(url, model) {
      const provider = `{name="routeplane",base_url="${url}/v1",env_key="ROUTEPLANE_API_KEY",wire_api="responses"}`;
      // Tools that the provider runs, and lists of tools, are left out, because the provider's tools are billed per call.
      const settings = ["model_provider=routeplane", `model_providers.routeplane=${provider}`, 'web_search="disabled"'];
      const config = settings.flatMap((setting) => ["-c", setting]);
      const isolation = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"];
      return ["codex", "exec", ...isolation, ...config, "--disable", "multi_agent", "-m", model, PROMPT];
    },
    environment: (_, apiKey) => ({ ROUTEPLANE_API_KEY: apiKey }),
  },
];

const scratch = await mkdtemp(join(tmpdir(), "routeplane-agents-"));
const programs = join(process.env["ROUTEPLANE_AGENTS"] ?? scratch, "node_modules/.bin");
const upstream = await startAgentUpstream();
let routeplane: Routeplane | undefined;
try {
  await install(dirname(dirname(programs)));
  routeplane = await startRouteplane(upstream.url);
  for (const agent of AGENTS) {
    for (const [wire, model] of Object.entries(MODELS) as [UpstreamWire, string][]) {
      process.stdout.write(`${agent.name} | ${wire} | ${await run(routeplane, agent, model)}\n`);
    }
  }
} finally {
  await routeplane?.stop();
  await upstream.close();
  await rm(scratch, { recursive: true, force: true });
}

async function install(folder: string): Promise<void> {
  const isInstalled = await access(join(folder, "node_modules/.bin/codex")).then(
    () => true,
    () => false,
  );
  if (isInstalled) return;
  await mkdir(folder, { recursive: true });
  await execute("npm", ["install", "--prefix", folder, "--no-audit", "--no-fund", ...PACKAGES]);
}

/** Runs an agent with a key of its own. @returns the outcome and what its requests used */
async function run({ node }: Routeplane, agent: Agent, model: string): Promise<string> {
  const key = await mintKey(node, `${agent.name} ${model}`);
  const folder = await mkdtemp(join(scratch, "work-"));
  const [program = "", ...args] = agent.command(node.url, model);
  const outcome = execute(join(programs, program), args, {
    cwd: folder,
    timeout: 120_000,
    env: {
      PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
      HOME: folder,
      ...agent.environment(node.url, key.token),
    },
  });
  outcome.child.stdin?.end();
  const { stdout, stderr } = await outcome.catch((error: { stdout: string; stderr: string }) => error);
  const file = await readFile(join(folder, "agent.txt"), "utf8").catch(() => undefined);
  const isRight = file === "written by the model\n" && stdout.includes(AGENT_ANSWER);
  if (!isRight) process.exitCode = 1;
  const said = isRight ? "ok" : `FAILED: ${`${stdout}${stderr}`.trim().slice(-600)}`;
  return `${said} | ${await usageOf(node, key.id, isRight ? REQUESTS : 0)}`;
}

/** Requests, tokens and cost of a key, once the expected number of requests is in the log and settled. */
async function usageOf(node: Routeplane["node"], keyId: string, count: number): Promise<string> {
  const rows = await eventually(async () => {
    const { data } = await cliJson<{ data: readonly RequestRow[] }>(node, "cloud", "requests", "--limit", "100");
    const own = data.filter(({ key_id }) => key_id === keyId);
    return own.length >= count && own.every(({ status }) => status !== "pending") && own;
  });
  const sum = (field: "prompt_tokens" | "completion_tokens" | "cost_micro_usd"): number =>
    rows.reduce((total, row) => total + row[field], 0);
  const tokens = `${sum("prompt_tokens")} + ${sum("completion_tokens")} tokens`;
  return `${rows.length} requests, ${tokens}, ${sum("cost_micro_usd")} micro USD`;
}
