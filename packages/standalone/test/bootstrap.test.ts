import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { waitUntil } from "../src/process/wait.ts";

/** Checkout without dependencies, with an `npm` whose package manager records its calls and takes 0.3 s. */
const BIN = "packages/standalone/bin";
const MANAGER = `${BIN}/package-manager`;
let checkout: string;
let waitSecs: string;
beforeEach(async () => {
  waitSecs = "";
  checkout = await mkdtemp(join(tmpdir(), "routeplane-checkout-"));
  for (const folder of [BIN, MANAGER, "tools"]) await mkdir(join(checkout, folder), { recursive: true });
  await copyFile(
    join(import.meta.dirname, "../bin/bootstrap.js"),
    join(checkout, "packages/standalone/bin/bootstrap.js"),
  );
  await writeFile(join(checkout, "package.json"), '{"type": "module"}');
  await writeFile(join(checkout, "pnpm-lock.yaml"), "lockfileVersion: 1\n");
  await installer('echo "$@" >> "$PWD/calls"; sleep 0.3');
  return () => rm(checkout, { recursive: true });
});

/** Sets the script that the package manager runs. */
async function installer(script: string): Promise<void> {
  await program(join(checkout, "manager"), script);
  const file = `node_modules/@pnpm/exe.${process.platform}-${process.arch}/pnpm`;
  await npm(`mkdir -p ${dirname(file)}; cp ${join(checkout, "manager")} ${file}`);
}

/** Sets the script that npm runs, in the folder of the package manager. */
function npm(script: string): Promise<void> {
  return program(join(checkout, "tools/npm"), `echo "$@" >> "${checkout}/npm-calls"\n${script}`);
}

async function program(file: string, script: string): Promise<void> {
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
}

function bootstrap(script: string, ...args: string[]) {
  const entry = join(checkout, "packages/standalone/bin/bootstrap.js");
  const env = { PATH: `${join(checkout, "tools")}:/usr/bin:/bin`, ROUTEPLANE_INSTALL_WAIT_SECS: waitSecs };
  return spawn(process.execPath, [entry, script, ...args], { cwd: checkout, env, stdio: "pipe" });
}

async function run(script: string, ...args: string[]) {
  const child = bootstrap(script, ...args);
  const ended = once(child, "close");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code, signal] = (await ended) as [number | null, string | null];
  return { code, signal, stdout, stderr };
}

async function script(name: string, body: string): Promise<string> {
  await writeFile(join(checkout, name), body);
  return name;
}

it("installs once when several processes start at the same time, and again when the lockfile changes", async () => {
  const hello = await script("hello.js", "console.log('hello', ...process.argv.slice(2))");
  const results = await Promise.all(Array.from({ length: 5 }, () => run(hello, "a b")));
  for (const result of results) expect(result).toMatchObject({ code: 0, stdout: "hello a b\n" });
  const calls = async (): Promise<number> => (await readFile(join(checkout, "calls"), "utf8")).split("\n").length - 1;
  expect(await calls()).toBe(1);
  await writeFile(join(checkout, "pnpm-lock.yaml"), "lockfileVersion: 2\n");
  await run(hello);
  await run(hello);
  expect(await calls()).toBe(2);
});

it("shows the output of a failed installation, and does not run the script", async () => {
  await installer("echo the registry is away; exit 1");
  const result = await run(await script("hello.js", "console.log('hello')"));
  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toContain("the registry is away");
  expect(result.stderr).toContain("dependencies could not be installed");
});

it("installs the package manager by the hash of its lockfile, without its scripts, and fails if npm has no match", async () => {
  const hello = await script("hello.js", "console.log('hello')");
  expect(await run(hello)).toMatchObject({ code: 0 });
  expect(await readFile(join(checkout, "npm-calls"), "utf8")).toBe("ci --ignore-scripts --no-audit --no-fund\n");
  await writeFile(join(checkout, "pnpm-lock.yaml"), "lockfileVersion: 3\n");
  // What npm does with a package that has a different hash.
  await npm("rm -r node_modules");
  const { code, stdout, stderr } = await run(hello);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("installed no package manager");
});

it("ends with the exit code or the signal of the script", async () => {
  expect(await run(await script("seven.js", "process.exit(7)"))).toMatchObject({ code: 7 });
  expect(
    await run(await script("killed.js", "process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)")),
  ).toMatchObject({ signal: "SIGTERM" });
});

it("forwards signals to the script", async () => {
  const body = "process.on('SIGTERM', () => process.exit(5)); console.log('up'); setInterval(() => {}, 1000)";
  const child = bootstrap(await script("waits.js", body));
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  expect(await once(child, "close")).toEqual([5, null]);
});

it("prefers the Node.js of the dependencies", async () => {
  await mkdir(join(checkout, "node_modules/.bin"), { recursive: true });
  await symlink("/bin/echo", join(checkout, "node_modules/.bin/node"));
  expect((await run("some.js", "x")).stdout).toBe(`${join(checkout, "some.js")} x\n`);
});

it("stops an installation at a signal, without reporting a failure", async () => {
  await installer("echo >> calls; exec sleep 60");
  const child = bootstrap("some.js");
  const ended = Promise.all([text(child.stderr), once(child, "close")]);
  await waitUntil(() => existsSync(join(checkout, "calls")), { timeoutMs: 5_000 });
  child.kill("SIGINT");
  const [stderr, ending] = await ended;
  expect(ending).toEqual([null, "SIGINT"]);
  expect(stderr).not.toContain("could not be installed");
});

it("installs again after an interrupted installation, also if the lockfile is the former one again", async () => {
  const hello = await script("hello.js", "console.log('hello')");
  await run(hello);
  await writeFile(join(checkout, "pnpm-lock.yaml"), "lockfileVersion: 2\n");
  await installer("exit 1");
  expect(await run(hello)).toMatchObject({ code: 1 });
  await writeFile(join(checkout, "pnpm-lock.yaml"), "lockfileVersion: 1\n");
  await installer("echo again >> calls");
  expect(await run(hello)).toMatchObject({ code: 0 });
  expect(await readFile(join(checkout, "calls"), "utf8")).toMatch(/again\n$/);
});

describe("while another process installs", () => {
  /** Starts a process whose installation does not end. */
  async function installing() {
    await installer("echo $$ > calls; exec sleep 60");
    const child = bootstrap("some.js");
    const pidOfManager = async (): Promise<number> =>
      Number(await readFile(join(checkout, "calls"), "utf8").catch(() => ""));
    await waitUntil(async () => (await pidOfManager()) > 0, { timeoutMs: 5_000 });
    const manager = await pidOfManager();
    onTestFinished(() => {
      process.kill(manager, "SIGKILL");
      child.kill("SIGKILL");
    });
    return child;
  }

  it("waits until its time limit, and names the process and the file", async () => {
    const other = await installing();
    waitSecs = "0.5";
    const { code, stderr } = await run("some.js");
    expect(code).toBe(1);
    expect(stderr).toContain(`waiting for process ${other.pid}`);
    expect(stderr).toContain(
      `process ${other.pid} has been installing the dependencies for 0.5 s and holds ${checkout}/`,
    );
  });

  it.each(["soon", "-1", "Infinity"])("refuses a time limit of %s", async (secs) => {
    await installing();
    waitSecs = secs;
    const { code, stderr } = await run("some.js");
    expect(code).toBe(1);
    expect(stderr).toContain(`ROUTEPLANE_INSTALL_WAIT_SECS is "${secs}": set it to seconds`);
  });

  it("installs when that process is killed", async () => {
    const other = await installing();
    await installer("true");
    const waiting = run(await script("hello.js", "console.log('hello')"));
    const ended = once(other, "close");
    other.kill("SIGKILL");
    await ended;
    expect(await waiting).toMatchObject({ code: 0, stdout: "hello\n" });
  });
});

it("cannot be kept from installing by another user of the machine, who can name any abstract socket", async () => {
  const digest = createHash("sha256").update(checkout).digest("hex").slice(0, 32);
  const squatter = createServer().listen(`\0routeplane-install-${digest}`);
  onTestFinished(() => void squatter.close());
  await once(squatter, "listening");
  waitSecs = "1";
  expect(await run(await script("hello.js", "console.log('hello')"))).toMatchObject({ code: 0 });
  expect((await stat(join(checkout, ".routeplane-install.lock"))).mode & 0o777).toBe(0o600);
});
