import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bundle, bundle } from "./bundle.ts";
import { buildKustomization } from "./testing/kustomize.ts";
import { faultyVariables, runToExit } from "./testing/role-process.ts";
import { type Workload, workloadsOf } from "./testing/workloads.ts";

const WORKLOADS = workloadsOf([...(await buildKustomization("base")), ...(await buildKustomization("provision"))]);
/** Where the gateway has its providers file, and where that file comes from. */
const IMAGE_PROVIDERS_FILE = "/etc/routeplane/providers.yaml";
const PROVIDERS_FILE = join(import.meta.dirname, "kustomize/base/providers.yaml");

let folder: string;
let built: Bundle;

beforeAll(async () => {
  // Outside the checkout: what the bundle forgot to bring along is not found by accident.
  folder = await mkdtemp(join(tmpdir(), "routeplane-bundle-"));
  built = await bundle(folder);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Before a line of ours runs. */
const READ_BY_NODE = ["NODE_OPTIONS"];

/** What an operator could put into the Secrets, and files where the image has them. */
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

it("has the roles that the manifests run, and names them to whoever asks for another", async () => {
  const { code, stderr } = await runToExit(built.entry, "no-such-role", {});
  expect(code).toBe(2);
  const roles = stderr.trim().split("one of: ")[1]?.split(" ");
  expect(roles?.toSorted()).toEqual(WORKLOADS.map(({ role }) => role).toSorted());
});

describe.each(WORKLOADS.map((workload) => [workload.role, workload] as const))("%s", (role, workload) => {
  it("starts from the bundle alone, and lists what its environment lacks", { timeout: 30_000 }, async () => {
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

  it("finds no other fault than the one that was made in what the manifest sets", { timeout: 30_000 }, async () => {
    const environment = plausibleEnvironment(workload);
    const names = ["ROUTEPLANE_SERVICE_TOKEN", "ROUTEPLANE_DATABASE_URL", ...Object.keys(environment)];
    const omitted = names.find((name) => name in environment) ?? "";
    const { code, stderr } = await runToExit(built.entry, role, { ...environment, [omitted]: "" });
    expect(code, stderr).toBe(1);
    expect(faultyVariables(stderr)).toEqual([omitted]);
  });
});
