import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { parseToken } from "@routeplane/credentials";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bundle, bundle } from "../bundle.ts";
import { buildKustomization } from "./kustomize.ts";
import { faultyVariables, runToExit } from "./role-process.ts";
import { type Workload, workloadsOf } from "./workloads.ts";

const WORKLOADS = workloadsOf((await Promise.all(["base", "provision", "bootstrap"].map(buildKustomization))).flat());
/** Path of the providers file in a gateway pod; its content is `PROVIDERS_FILE`. */
const IMAGE_PROVIDERS_FILE = "/etc/routeplane/providers.yaml";
const PROVIDERS_FILE = join(import.meta.dirname, "../kustomize/base/providers.yaml");

let folder: string;
let built: Bundle;

beforeAll(async () => {
  // Outside the checkout, where a file that the bundle lacks is not found by accident.
  folder = await mkdtemp(join(tmpdir(), "routeplane-bundle-"));
  built = await bundle(folder);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Variables that Node.js reads before the bundle runs. */
const READ_BY_NODE = ["NODE_OPTIONS"];

/** Environment of a workload, with plausible values of its Secrets and the path of the providers file here. */
function plausibleEnvironment({ environment }: Workload): Record<string, string> {
  const plausible = (name: string): string => {
    if (name.endsWith("DATABASE_URL")) return "postgres://role:password@127.0.0.1:1/routeplane";
    if (name === "ROUTEPLANE_SERVICE_CREDENTIALS") return `gateway:${"0f".repeat(32)}`;
    if (name === "ROUTEPLANE_NATS_URL") return "nats://user:password@127.0.0.1:1";
    if (name === "ROUTEPLANE_KEY_PEPPERS") return `p1:${"0f".repeat(32)}`;
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
  it("starts from the bundle alone, and lists the variables that are missing", { timeout: 30_000 }, async () => {
    const { code, stderr, variablesRead } = await runToExit(built.entry, role, {});
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

  it(
    "finds no other fault in the environment of the manifest than the one that was made",
    { timeout: 30_000 },
    async () => {
      const environment = plausibleEnvironment(workload);
      const names = ["ROUTEPLANE_SERVICE_TOKEN", "ROUTEPLANE_DATABASE_URL", ...Object.keys(environment)];
      const omitted = names.find((name) => name in environment) ?? "";
      const { code, stderr } = await runToExit(built.entry, role, { ...environment, [omitted]: "" });
      expect(code, stderr).toBe(1);
      expect(faultyVariables(stderr)).toEqual([omitted]);
    },
  );
});
