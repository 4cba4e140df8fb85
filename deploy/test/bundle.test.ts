import { once } from "node:events";
import { glob, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { Worker } from "node:worker_threads";
import { parseToken } from "@routeplane/credentials";
import { sourcePaths } from "@routeplane/standalone";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bundle, bundle } from "../bundle.ts";
import { buildKustomization } from "./kustomize.ts";
import { type Exit, faultyVariables, runToExit } from "./role-process.ts";
import { type Workload, workloadsOf } from "./workloads.ts";

const WORKLOADS = workloadsOf((await Promise.all(["base", "provision", "bootstrap"].map(buildKustomization))).flat());
/** Path of the providers file in a gateway pod; its content is `PROVIDERS_FILE`. */
const IMAGE_PROVIDERS_FILE = "/etc/routeplane/providers.yaml";
const PROVIDERS_FILE = join(import.meta.dirname, "../kustomize/base/providers.yaml");

const CHECKOUT = join(import.meta.dirname, "../..");

let folder: string;
let built: Bundle;
/** End of each role in an empty environment, keyed by role. */
let ends: ReadonlyMap<string, Exit>;

beforeAll(async () => {
  // Outside the checkout, where a file that the bundle lacks is not found by accident.
  folder = await mkdtemp(join(tmpdir(), "routeplane-bundle-"));
  built = await bundle(folder);
  const reached = new Map<string, Exit>();
  // Sequentially, because a busy machine takes long to start eleven at once.
  for (const { role } of WORKLOADS) reached.set(role, await runToExit(built.entry, role, {}));
  ends = reached;
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Variables that Node.js reads before the bundle runs. */
const READ_BY_NODE = ["NODE_OPTIONS"];

/** Environment of a workload, with plausible values of its Secrets and ConfigMaps, and the path of the providers file here. */
function plausibleEnvironment({ environment }: Workload): Record<string, string> {
  const plausible = (name: string): string => {
    if (name.endsWith("DATABASE_URL")) return "postgres://role:password@127.0.0.1:1/routeplane";
    if (name === "ROUTEPLANE_SERVICE_CREDENTIALS") return `gateway:${"0f".repeat(32)}`;
    if (name === "ROUTEPLANE_NATS_URL") return "nats://user:password@127.0.0.1:1";
    if (name === "ROUTEPLANE_KEY_PEPPERS") return `p1:${"0f".repeat(32)}`;
    if (name === "ROUTEPLANE_CONSOLE_KEYS") return `c1:${Buffer.alloc(32, 15).toString("base64url")}`;
    if (name === "ROUTEPLANE_TRUSTED_PROXIES") return "10.0.0.0/8";
    if (name.endsWith("_URL")) return "https://plausible.example";
    return "plausible";
  };
  return Object.fromEntries(
    [...environment].map(([name, value]) => [
      name,
      value === IMAGE_PROVIDERS_FILE ? PROVIDERS_FILE : (value ?? plausible(name)),
    ]),
  );
}

it("has the thread that counts tokens, with the vocabularies", async () => {
  const thread = new Worker(join(folder, "token-worker.mjs"));
  try {
    const answer = once(thread, "message");
    thread.postMessage({ id: 1, tokenizer: "o200k_base", texts: ["Hello, world!"] });
    expect(await answer).toEqual([{ id: 1, counts: [4] }]);
  } finally {
    await thread.terminate();
  }
});

it("is made only from sources that a local node compares before it uses an earlier bundle", async () => {
  const sources = built.inputs.map((path) => relative(CHECKOUT, path)).filter((path) => !path.includes("node_modules"));
  const watched = await sourcePaths(CHECKOUT);
  expect(sources.filter((path) => !watched.includes(path))).toEqual([]);
});

/** Text of all files that a role loads: its first file, the imports of that, dynamic ones included, and their imports. */
async function textOfRole(role: string): Promise<string> {
  const [, main = ""] =
    new RegExp(`[{,]"?${role}"?:\\(\\)=>import\\("\\./([^"]+)"\\)`).exec(await readBundled("routeplane.mjs")) ?? [];
  const texts = new Map<string, string>();
  const load = async (file: string, imports: RegExp): Promise<void> => {
    if (texts.has(file)) return;
    texts.set(file, "");
    const text = await readBundled(file);
    texts.set(file, text);
    for (const [, imported = ""] of text.matchAll(imports)) await load(imported, /\b(?:from|import)"\.\/([^"]+)"/g);
  };
  await load(main, /\b(?:from|import|import\()"\.\/([^"]+)"/g);
  return [...texts.values()].join("\n");
}

function readBundled(file: string): Promise<string> {
  return readFile(join(folder, file), "utf8");
}

it("has the rules of messages only for services: in a gateway or a console they would waste 5 MB", async () => {
  const rules = "Cannot validate message ";
  const [policy, gateway, console] = await Promise.all(["policy", "gateway", "console"].map(textOfRole));
  expect([policy, gateway, console].map((text) => text?.includes(rules))).toEqual([true, false, false]);
  expect([gateway?.includes("/v1/chat/completions"), console?.includes("/session/namespace")]).toEqual([true, true]);
});

it("is ASCII, which takes one byte of memory per character instead of two", async () => {
  for await (const path of glob("*.mjs", { cwd: folder })) {
    const text = await readFile(join(folder, path));
    expect([path, text.findIndex((byte) => byte > 127)]).toEqual([path, -1]);
  }
});

it("has the roles that the manifests run, and names them if it is given another", async () => {
  const { code, stderr } = await runToExit(built.entry, "no-such-role", {});
  expect(code).toBe(2);
  const roles = stderr.trim().split("one of: ")[1]?.split(" ");
  expect(roles?.toSorted()).toEqual([...WORKLOADS.map(({ role }) => role), "operator-token"].toSorted());
});

it("prints an operator token for the Secret of a new node", async () => {
  const { code, stdout } = await runToExit(built.entry, "operator-token", {});
  expect([code, parseToken(stdout.trim())?.kind]).toEqual([0, "operator"]);
});

describe.each(WORKLOADS.map((workload) => [workload.role, workload] as const))("%s", (role, workload) => {
  it("starts with only the bundle, and lists the missing variables", () => {
    const { code, stderr, variablesRead } = ends.get(role) ?? expect.fail(`${role} was not run`);
    const missing = faultyVariables(stderr, "is required");
    expect(code, stderr).toBe(1);
    expect(missing).not.toEqual([]);
    expect([...workload.environment.keys()], "the manifest sets what the process requires").toEqual(
      expect.arrayContaining([...missing]),
    );
    expect([...variablesRead, ...READ_BY_NODE], "the process reads what the manifest sets").toEqual(
      expect.arrayContaining([...workload.environment.keys()]),
    );
  });

  it("finds only the injected fault in the environment of the manifest", async () => {
    const environment = plausibleEnvironment(workload);
    const names = ["ROUTEPLANE_SERVICE_TOKEN", "ROUTEPLANE_DATABASE_URL", ...Object.keys(environment)];
    const omitted = names.find((name) => name in environment) ?? "";
    const { code, stderr } = await runToExit(built.entry, role, { ...environment, [omitted]: "" });
    expect(code, stderr).toBe(1);
    expect(faultyVariables(stderr)).toEqual([omitted]);
  });
});

describe("variables", () => {
  /** Variables of the command line, which is not a role, and streams of NATS. */
  const OTHERS = new Set(["ROUTEPLANE_URL", "ROUTEPLANE_API_KEY", "ROUTEPLANE_USAGE_V2", "ROUTEPLANE_USAGE"]);
  const namesIn = (text: string): readonly string[] =>
    text.match(/\b(?:ROUTEPLANE_[A-Z0-9_]*[A-Z0-9]|[A-Z]+_API_KEY)\b/g) ?? [];
  const read = (): ReadonlySet<string> =>
    [...ends.values()].reduce((names, { variablesRead }) => names.union(variablesRead), new Set<string>());

  it("that the README names are read by a role", async () => {
    const readme = await readFile(join(CHECKOUT, "deploy/README.md"), "utf8");
    const known = read();
    expect(namesIn(readme).filter((name) => !known.has(name) && !OTHERS.has(name))).toEqual([]);
  });

  it("that a role reads are in a README or a manifest", async () => {
    const texts: string[] = [];
    for (const pattern of ["services/*/README.md", "packages/*/README.md", "deploy/README.md"]) {
      for await (const path of glob(pattern, { cwd: CHECKOUT }))
        texts.push(await readFile(join(CHECKOUT, path), "utf8"));
    }
    const documented = new Set([...texts, JSON.stringify(WORKLOADS.map(({ pod }) => pod))].flatMap(namesIn));
    const undocumented = [...read()].filter((name) => name.startsWith("ROUTEPLANE_") && !documented.has(name));
    // A secret can be a file, as packages/runtime/README.md says of all of them.
    expect(undocumented.filter((name) => !documented.has(name.replace(/_FILE$/, "")))).toEqual([]);
  });
});
