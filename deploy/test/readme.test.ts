import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { parseServiceCredentials, parseToken, SERVICE_CALLERS } from "@routeplane/credentials";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseSealKeys } from "@routeplane/console/src/domain/seal-keys.ts";
import { bundle } from "../bundle.ts";
import { kubectl } from "./kubectl.ts";
import { buildKustomization, buildKustomizations, KUSTOMIZE_FOLDER } from "./kustomize.ts";
import { secretsOf, workloadsOf } from "./workloads.ts";

/**
 * Tests that run the commands of deploy/README.md as written, block by block, with the real kubectl. Without a Kubernetes API, a Secret is
 * only created locally, a kustomization only built, and any other command must get as far as connecting, which shows that its flags are
 * right.
 */
const CHECKOUT = join(import.meta.dirname, "../..");
const readme = await readFile(join(CHECKOUT, "deploy/README.md"), "utf8");
const blocksOf = (language: string): readonly string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map(([, block = ""]) => block);

const MANIFESTS = await buildKustomizations("production", "base", "provision", "bootstrap");
const WORKLOADS = workloadsOf(MANIFESTS);

/** Stand-in for kubectl, docker and npx, called with its own name first. Writes a line of JSON for each call. */
const STAND_IN = `
import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";
const [program, ...parameters] = process.argv.slice(2);
const { KUBECTL, BUNDLE, CALLS } = process.env;
const run = (file, ...all) => spawnSync(file, all, { encoding: "utf8", timeout: 30_000 });
let output = "";
if (program === "docker" && parameters[0] === "run") {
  const { status, stdout } = run(process.execPath, BUNDLE, parameters.at(-1));
  process.stdout.write(stdout);
  process.exitCode = status;
} else if (program === "kubectl") {
  if (parameters[0] === "create") {
    const { status, stdout, stderr } = run(KUBECTL, ...parameters, "--dry-run=client", "--output", "json");
    output = stdout;
    if (status !== 0) throw new Error(stderr);
  } else {
    const { stderr } = run(KUBECTL, "--kubeconfig", "/dev/null", "--server", "http://127.0.0.1:9", ...parameters);
    if (!/connection refused|was refused/.test(stderr)) throw new Error(stderr);
  }
  const folder = parameters[parameters.indexOf("--kustomize") + 1];
  if (parameters.includes("--kustomize")) {
    const { status, stderr } = run(KUBECTL, "kustomize", folder);
    if (status !== 0) throw new Error(stderr);
  }
}
appendFileSync(CALLS, JSON.stringify({ program, parameters, output }) + "\\n");
`;

interface Call {
  readonly program: string;
  readonly parameters: readonly string[];
  readonly output: string;
}

let folder: string;
let calls: readonly Call[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-readme-"));
  const { entry } = await bundle(join(folder, "bundle"));
  await writeFile(join(folder, "stand-in.mjs"), STAND_IN);
  for (const program of ["kubectl", "docker", "npx"]) {
    const script = `#!/bin/sh\nexec ${process.execPath} ${join(folder, "stand-in.mjs")} ${program} "$@"\n`;
    await writeFile(join(folder, program), script);
    await chmod(join(folder, program), 0o755);
  }
  await symlink(join(CHECKOUT, "deploy"), join(folder, "deploy"));
  const environment = {
    PATH: `${folder}:${dirname(process.execPath)}:${process.env["PATH"]}`,
    HOME: folder,
    BUNDLE: entry,
    KUBECTL: await kubectl(),
    CALLS: join(folder, "calls"),
  };
  const options = { cwd: folder, env: environment, timeout: 100_000 };
  for (const block of blocksOf("sh")) await promisify(execFile)("bash", ["-euo", "pipefail", "-c", block], options);
  const lines = (await readFile(join(folder, "calls"), "utf8")).trim().split("\n");
  calls = lines.map((line) => JSON.parse(line) as Call);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Secrets that the commands create: their values, keyed by name and key. */
function created(): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const secrets = calls
    .filter(({ parameters }) => parameters[0] === "create" && parameters[1] === "secret")
    .map(({ output }) => JSON.parse(output));
  return Object.fromEntries(
    secrets.map(({ metadata, data }: { metadata: { name: string }; data: Record<string, string> }) => [
      metadata.name,
      Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()])),
    ]),
  );
}

describe("the commands", () => {
  it("create Secrets that the manifests use, with every key that they name", () => {
    const used = WORKLOADS.flatMap(secretsOf);
    for (const [name, keys] of Object.entries(created())) {
      const expected = new Set(used.filter((secret) => secret.startsWith(`${name}/`)));
      expect(new Set(Object.keys(keys).map((key) => `${name}/${key}`))).toEqual(expected);
    }
    expect(Object.keys(created())).toEqual(["routeplane-callers", "routeplane-console", "routeplane-bootstrap"]);
  });

  it("create service credentials that services accept, the operator token, the token of the installer, and cookie keys", async () => {
    const accepted = parseServiceCredentials(created()["routeplane-callers"]?.["accepted"]?.trim() ?? "");
    for (const caller of SERVICE_CALLERS)
      expect(accepted?.callerOf(await readFile(join(folder, `${caller}.token`), "utf8"))).toBe(caller);
    const bootstrap = created()["routeplane-bootstrap"] ?? {};
    expect(parseToken(bootstrap["operator-token"]?.trim() ?? "")?.kind).toBe("operator");
    expect(bootstrap["service-token"]).toBe(await readFile(join(folder, "installer.token"), "utf8"));
    const console = created()["routeplane-console"] ?? {};
    expect(console["service-token"]).toBe(await readFile(join(folder, "console.token"), "utf8"));
    expect(parseSealKeys(console["console-keys"] ?? "")?.current.id).toBe("c1");
  });

  it("are all for one namespace, and name workloads that the manifests have", () => {
    const kubernetes = calls.filter(({ program }) => program === "kubectl").map(({ parameters }) => parameters);
    for (const parameters of kubernetes) expect(parameters.join(" ")).toMatch(/ --namespace routeplane /);
    const named = kubernetes.flatMap((parameters) =>
      parameters.filter((each) => /^(job|deployment|statefulset)\//.test(each)),
    );
    const known = new Set(WORKLOADS.map(({ kind, name }) => `${kind.toLowerCase()}/${name}`));
    expect(named.filter((name) => !known.has(name))).toEqual([]);
    expect(named).toContain("job/routeplane-provision");
  });

  it("build the image from a Dockerfile that exists", async () => {
    const build =
      calls.find(({ program, parameters }) => program === "docker" && parameters[0] === "build")?.parameters ?? [];
    const dockerfile = build[build.indexOf("--file") + 1] ?? "";
    expect(await readFile(join(CHECKOUT, dockerfile), "utf8")).toContain("ENTRYPOINT");
  });
});

it("the overlay that it shows builds, with the image that it names", async () => {
  const [overlay = ""] = blocksOf("yaml");
  const own = await mkdtemp(join(KUSTOMIZE_FOLDER, "test-"));
  try {
    await writeFile(join(own, "kustomization.yaml"), overlay);
    const image = (parse(overlay) as { images: { name: string; newName: string; newTag: string }[] }).images[0];
    const workloads = workloadsOf(await buildKustomization(own));
    for (const { container } of workloads) expect(container.image).toBe(`${image?.newName}:${image?.newTag}`);
    expect(workloads.map(({ kind }) => kind)).toContain("StatefulSet");
  } finally {
    await rm(own, { recursive: true, force: true });
  }
});
