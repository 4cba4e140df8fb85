import { execFile } from "node:child_process";
import { chmod, chown, copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { parseToken } from "@routeplane/credentials";
import { CHECKOUT } from "@routeplane/standalone";
import { eventually } from "@routeplane/testing";
import { afterAll, expect, it } from "vitest";
import { buildKustomizations, KUSTOMIZE_FOLDER } from "../test/kustomize.ts";
import { createLocalNode } from "../test/local-node.ts";
import { passes } from "../test/probes.ts";
import { type Workload, workloadsOf } from "../test/workloads.ts";
import { baseImageParameters } from "./base-image.ts";
import { openContainerEngine } from "./containers.ts";

/**
 * The image that the Dockerfile builds, and every role of it in a container that is confined as the manifests of `production` confine
 * it: user, read-only root file system, no capabilities, memory limit, volumes. Postgres and NATS are those of the tests.
 */
const IMAGE = "localhost/routeplane:check";
const MANIFESTS = await buildKustomizations("production", "provision", "bootstrap");
const WORKLOADS = workloadsOf(MANIFESTS);
const SERVING = WORKLOADS.filter(({ kind }) => kind !== "Job");
/** Roles that are ready by themselves. */
const OPEN = new Set(["gateway", "console"]);
const RESTRICTED = { user: 65_532, group: 65_532, capabilities: "0000000000000000" };

const folder = await mkdtemp(join(tmpdir(), "routeplane-volumes-"));
const engine = await openContainerEngine();
const node = await createLocalNode(SERVING.map(({ role }) => role));
const gatewayUrl = `http://127.0.0.1:${node.portOf("gateway")}`;
let operatorToken = "";

afterAll(async () => {
  await engine.remove();
  await Promise.all([node.remove(), rm(folder, { recursive: true, force: true })]);
});

const workloadOf = (role: string): Workload =>
  WORKLOADS.find((workload) => workload.role === role) ?? expect.fail(`no workload runs ${role}`);

const bytesOf = (quantity: unknown): number => {
  const [, count, unit] = /^(\d+)(Mi|Gi)$/.exec(String(quantity)) ?? [];
  return Number(count) * (unit === "Gi" ? 1024 ** 3 : 1024 ** 2);
};

/** Parameters that confine a container as its manifest does, with its environment on this machine. */
async function parametersOf(workload: Workload): Promise<readonly string[]> {
  const { pod, container, role } = workload;
  const { readOnlyRootFilesystem, allowPrivilegeEscalation, capabilities } = container.securityContext ?? {};
  expect([readOnlyRootFilesystem, allowPrivilegeEscalation]).toEqual([true, false]);
  const memory = String(bytesOf(container.resources?.limits?.["memory"]));
  const environment = { ...node.environmentOf(workload), ...(role === "gateway" ? { ROUTEPLANE_ECHO: "on" } : {}) };
  const confinement = {
    "--read-only": "true",
    "--read-only-tmpfs": "false",
    "--security-opt": "no-new-privileges",
    "--network": "host",
    "--user": `${pod.securityContext?.runAsUser}:${pod.securityContext?.runAsGroup}`,
    "--memory": memory,
    "--memory-swap": memory,
    "--cgroup-parent": engine.cgroup,
  };
  return [
    ...Object.entries(confinement).map(([option, value]) => `${option}=${value}`),
    ...(capabilities?.drop ?? []).map((capability) => `--cap-drop=${capability}`),
    ...(await volumesOf(workload)),
    ...Object.entries(environment).map(([name, value]) => `--env=${name}=${value}`),
    IMAGE,
    ...(container.args ?? []),
  ];
}

/** Mounts of a workload: the ConfigMap with the providers, and a volume as the kubelet provides it, owned by root, with `fsGroup`. */
async function volumesOf({ pod, container, name }: Workload): Promise<readonly string[]> {
  const mounts: string[] = [];
  for (const { name: volume, mountPath, readOnly } of container.volumeMounts ?? []) {
    const source = join(folder, name, volume);
    await mkdir(source, { recursive: true });
    if (pod.volumes?.some((candidate) => candidate.name === volume && candidate.configMap)) {
      await copyFile(join(KUSTOMIZE_FOLDER, "base/providers.yaml"), join(source, "providers.yaml"));
    } else {
      await mkdir(join(source, "lost+found"), { recursive: true, mode: 0o700 });
      await chown(source, 0, Number(pod.securityContext?.fsGroup));
      await chmod(source, 0o2775);
    }
    mounts.push("--volume", `${source}:${mountPath}${readOnly ? ":ro" : ""}`);
  }
  return mounts;
}

const containerOf = (role: string): string => `routeplane-${role}`;
const start = async (role: string): Promise<void> => {
  await engine.podman("run", "--detach", "--name", containerOf(role), ...(await parametersOf(workloadOf(role))));
};
const runJob = async (role: string) => engine.tryPodman("run", "--rm", ...(await parametersOf(workloadOf(role))));
const isPassed = ({ container, role }: Workload, probe: "livenessProbe" | "readinessProbe"): Promise<boolean> =>
  passes(container[probe], node.operationsPortOf(role));
const evaluate = (role: string, expression: string): Promise<string> =>
  engine.podman("exec", containerOf(role), "node", "--print", expression);
const logOf = async (role: string): Promise<string> => {
  const { stdout, stderr } = await engine.tryPodman("logs", containerOf(role));
  return `${role}: ${stdout}${stderr}`;
};
const awaitAll = async (probe: "livenessProbe" | "readinessProbe"): Promise<void> => {
  for (const workload of SERVING) {
    await eventually(() => isPassed(workload, probe), 60_000).catch(async (cause: unknown) => {
      throw new Error(`${probe} fails: ${await logOf(workload.role)}`, { cause });
    });
  }
};

it(
  "is built by the Dockerfile, and runs as the user of the manifests without a shell",
  { timeout: 1_000_000 },
  async () => {
    const dockerfile = join(CHECKOUT, "deploy/Dockerfile");
    const [, base = ""] = /^FROM (\S+)/m.exec(await readFile(dockerfile, "utf8")) ?? [];
    const replaced = await baseImageParameters(engine, base);
    const commit = ["--build-arg", "ROUTEPLANE_BUILD_COMMIT=0123abc"];
    await engine.build(...replaced, ...commit, "--file", dockerfile, "--tag", IMAGE, CHECKOUT);
    const [{ Config, Size }] = JSON.parse(await engine.podman("inspect", IMAGE)) as [{ Config: object; Size: number }];
    expect(Config).toMatchObject({ User: `${RESTRICTED.user}:${RESTRICTED.group}`, WorkingDir: "/app" });
    process.stderr.write(`the image has ${Math.round(Size / 1e6)} MB\n`);
  },
);

it("prints an operator token, and names its roles", async () => {
  const { stdout } = await engine.tryPodman("run", "--rm", "--network", "none", IMAGE, "operator-token");
  operatorToken = stdout.trim();
  expect(parseToken(operatorToken)?.kind).toBe("operator");
  const unknown = await engine.tryPodman("run", "--rm", "--network", "none", IMAGE, "no-such-role");
  expect([unknown.code, unknown.stderr.includes("auth policy usage aggregator gateway console")]).toEqual([2, true]);
});

it("is alive in every serving role, before its database exists", { timeout: 300_000 }, async () => {
  for (const { role } of SERVING) await start(role);
  await awaitAll("livenessProbe");
  for (const workload of SERVING) {
    const isReady = () => isPassed(workload, "readinessProbe");
    if (OPEN.has(workload.role)) await eventually(isReady, 60_000);
    else expect(await isReady(), workload.role).toBe(false);
  }
});

it("provisions and migrates in Jobs, and is then ready in every serving role", { timeout: 300_000 }, async () => {
  for (const role of ["provision", "migrate-auth", "migrate-policy", "migrate-usage"]) {
    const { code, stderr } = await runJob(role);
    expect(code, `${role}: ${stderr}`).toBe(0);
  }
  await awaitAll("readinessProbe");
});

it("serves the app of the console", async () => {
  const page = await fetch(`http://127.0.0.1:${node.portOf("console")}/`);
  const [, script = ""] = /src="(\/assets\/[^"]+\.js)"/.exec(await page.text()) ?? [];
  const { status, headers } = await fetch(`http://127.0.0.1:${node.portOf("console")}${script}`);
  expect([page.status, status, headers.get("content-type")]).toEqual([200, 200, "text/javascript; charset=utf-8"]);
});

it.each(SERVING.map(({ role }) => role))("confines %s as the manifest says", { timeout: 60_000 }, async (role) => {
  const { container } = workloadOf(role);
  const status = JSON.parse(
    await evaluate(role, 'JSON.stringify(require("node:fs").readFileSync("/proc/1/status", "utf8"))'),
  ) as string;
  const fieldOf = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(status)?.[1] ?? "";
  expect([fieldOf("Uid"), fieldOf("Gid")].map(Number)).toEqual([RESTRICTED.user, RESTRICTED.group]);
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    expect(fieldOf(set), set).toBe(RESTRICTED.capabilities);
  }
  expect([fieldOf("NoNewPrivs"), fieldOf("Seccomp")]).toEqual(["1", "2"]);
  const memory = Number(await evaluate(role, "process.constrainedMemory()"));
  expect(memory).toBe(bytesOf(container.resources?.limits?.["memory"]));
  const write = (path: string) =>
    evaluate(role, `try { require("node:fs").writeFileSync("${path}", "") } catch (error) { error.code }`);
  for (const path of ["/x", "/app/x", "/tmp/x"]) expect(await write(path), path).toBe("EROFS");
});

it("is set up by the bootstrap Job, and serves the first request", { timeout: 180_000 }, async () => {
  const bootstrap = await parametersOf(workloadOf("bootstrap"));
  const credential = ["--env", `ROUTEPLANE_OPERATOR_TOKEN=${operatorToken}`];
  const { code, stderr } = await engine.tryPodman("run", "--rm", ...credential, ...bootstrap);
  expect(code, stderr).toBe(0);

  // The commands of deploy/README.md after the bootstrap Job.
  const readme = await readFile(join(CHECKOUT, "deploy/README.md"), "utf8");
  const [whoAmI = "", mint = ""] = [...readme.matchAll(/^npx (routeplane cloud .*)$/gm)].map(([, line = ""]) => line);
  expect(await shell(whoAmI, operatorToken)).toMatch(/operator/i);
  const { token } = JSON.parse(await shell(`${mint} --json`, operatorToken)) as { token: string };
  const response = await fetch(`${gatewayUrl}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "echo", messages: [{ role: "user", content: "hello" }] }),
  });
  const answer = await response.text();
  expect([response.status, answer], await logOf("gateway")).toEqual([200, expect.stringContaining("hello")]);
  // Through the spool, NATS and the aggregator.
  const logged = async () => {
    const { data } = JSON.parse(await shell("routeplane cloud requests --json", token)) as {
      data: { model: string }[];
    };
    return data.some(({ model }) => model === "echo");
  };
  await eventually(logged, 60_000);
});

it("loads its providers again on the signal in deploy/README.md for a pod", { timeout: 60_000 }, async () => {
  await engine.podman("exec", containerOf("gateway"), "node", "-e", 'process.kill(1, "SIGHUP")');
  await eventually(async () => (await logOf("gateway")).includes("providers reloaded"), 20_000);
});

it("starts again on the spool of a killed gateway with the same pid", { timeout: 120_000 }, async () => {
  await engine.podman("kill", "--signal", "KILL", containerOf("gateway"));
  await engine.podman("wait", containerOf("gateway"));
  await engine.podman("start", containerOf("gateway"));
  const gateway = workloadOf("gateway");
  await eventually(() => isPassed(gateway, "readinessProbe"), 60_000).catch(async (cause: unknown) => {
    throw new Error(await logOf("gateway"), { cause });
  });
});

it("ends in every serving role on SIGTERM, with exit code 0 and within its memory", { timeout: 300_000 }, async () => {
  for (const { role } of SERVING.toReversed()) await engine.podman("stop", "--time", "60", containerOf(role));
  for (const { role } of SERVING) {
    const [{ State }] = JSON.parse(await engine.podman("inspect", containerOf(role))) as [{ State: object }];
    expect(State, await logOf(role)).toMatchObject({ Status: "exited", ExitCode: 0, OOMKilled: false });
  }
});

/** Runs a command of the checkout's command line with a shell, against the gateway. */
async function shell(command: string, token: string): Promise<string> {
  const environment = {
    PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
    HOME: folder,
    ROUTEPLANE_URL: gatewayUrl,
    ROUTEPLANE_API_KEY: token,
  };
  const options = { cwd: CHECKOUT, env: environment, timeout: 30_000 };
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", `npx ${command}`], options);
  return stdout;
}
