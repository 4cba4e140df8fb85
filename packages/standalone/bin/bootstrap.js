/**
 * `node bootstrap.js [script] [arguments]`: installs the dependencies of the checkout unless they are up to date, then runs the
 * script, if one is named, with the Node.js that comes with them. It is plain JavaScript without dependencies, because it runs
 * before any is installed, on Node.js 20 or newer.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, constants, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { writeFileSync, writeSync } from "node:fs";
import { constants as system } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CHECKOUT = resolve(fileURLToPath(import.meta.url), "../../../..");
/** Folder whose package-lock.json has the hash of the package manager for each platform. */
const PACKAGE_MANAGER = join(CHECKOUT, "packages/standalone/bin/package-manager");
const NODE_MAJOR = 24;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];
/** File that the installing process locks. It is outside node_modules, which the package manager can replace. */
const LOCK = join(CHECKOUT, ".routeplane-install.lock");
const LOCK_INTERVAL_MS = 200;
/** Interval at which a long installation reports its progress. */
const PROGRESS_INTERVAL_MS = 3_000;

const modules = join(CHECKOUT, "node_modules");
const stamp = join(modules, ".routeplane-installed");

async function main([script, ...args]) {
  if (!isInstalled()) await withInstallLock(install);
  if (script !== undefined) await run(node(), [resolve(CHECKOUT, script), ...args]);
}

/** True if node_modules was installed from the current lockfile. */
function isInstalled() {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === lockfileHash();
}

function lockfileHash() {
  return createHash("sha256")
    .update(readFileSync(join(CHECKOUT, "pnpm-lock.yaml")))
    .digest("hex");
}

/**
 * Runs `work` under a lock of the checkout, unless the dependencies are installed once the lock is held. It is a kernel lock on a
 * file that only its owner can open: the kernel releases it when its holder ends, and no other user can take it. The file stays,
 * with the pid of its last holder.
 */
async function withInstallLock(work) {
  if (process.platform !== "linux") return work();
  const file = openSync(LOCK, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    await lock(file);
    ftruncateSync(file);
    writeSync(file, `${process.pid}\n`, 0);
    if (!isInstalled()) await work();
  } finally {
    closeSync(file);
  }
}

/** Waits for the lock. @throws Error that names file and holder, after the time limit of an installation */
async function lock(file) {
  const waitMs = installWaitMs();
  const deadline = Date.now() + waitMs;
  for (let attempt = 0; !(await tryLock(file)); attempt++) {
    const holder = `process ${readFileSync(LOCK, "utf8").trim() || "?"}`;
    if (Date.now() >= deadline) {
      throw new Error(
        `${holder} has been installing the dependencies for ${waitMs / 1_000} s and holds ${LOCK}: ` +
          "stop it, or wait longer with ROUTEPLANE_INSTALL_WAIT_SECS",
      );
    }
    if (attempt === 0) say(`waiting for ${holder}, which is installing the dependencies`);
    await delay(LOCK_INTERVAL_MS);
  }
}

/** Time limit of the wait for another installation. @throws Error if ROUTEPLANE_INSTALL_WAIT_SECS is not a valid number */
function installWaitMs() {
  const text = process.env.ROUTEPLANE_INSTALL_WAIT_SECS || "600";
  const seconds = Number(text);
  if (seconds >= 0 && seconds <= 86_400) return 1_000 * seconds;
  throw new Error(
    `ROUTEPLANE_INSTALL_WAIT_SECS is ${JSON.stringify(text)}: set it to seconds from 0 to 86400, or unset it`,
  );
}

/** Locks the open file by `flock` of util-linux; false if another process holds the lock. The file stays open here. */
async function tryLock(file) {
  const { code, error } = await ended(spawn("flock", ["-n", "3"], { stdio: ["ignore", "ignore", "ignore", file] }));
  if (error?.code === "ENOENT") throw new Error("flock is not on the PATH; install util-linux and try again");
  if (code !== 0 && code !== 1) throw new Error(`flock could not lock ${LOCK}: it exited with ${code}`);
  return code === 0;
}

async function install() {
  const startedAt = Date.now();
  const hash = lockfileHash();
  say(existsSync(stamp) ? "the dependencies have changed: installing them" : "installing the dependencies");
  await installWith("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], PACKAGE_MANAGER, startedAt);
  const manager = packageManager();
  // From here on, node_modules may match no lockfile until the installation is complete.
  rmSync(stamp, { force: true });
  await installWith(manager, ["install", "--frozen-lockfile", "--reporter=append-only"], CHECKOUT, startedAt);
  mkdirSync(modules, { recursive: true });
  writeFileSync(stamp, hash);
  say(`dependencies installed (${seconds(startedAt)})`);
}

/**
 * Path of the package manager.
 *
 * @throws Error if npm skipped the optional package, as it does for other platforms and for a hash that differs
 */
function packageManager() {
  const name = `@pnpm/exe.${process.platform}-${process.arch}`;
  const file = join(PACKAGE_MANAGER, "node_modules", name, "pnpm");
  if (existsSync(file)) return file;
  throw new Error(
    `npm installed no package manager: ${name} does not exist for this platform, or the package in the registry does not ` +
      `match its hash in ${join(PACKAGE_MANAGER, "package-lock.json")}`,
  );
}

/** Runs a step of the installation and prints its output only if it fails. @throws Error if it fails */
async function installWith(command, args, folder, startedAt) {
  // CI: no questions.
  const env = { ...process.env, CI: "true", npm_config_update_notifier: "false" };
  const child = spawn(command, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const collect = (chunk) => (output += chunk);
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const progress = setInterval(() => say(`  ${progressOf(output)} (${seconds(startedAt)})`), PROGRESS_INTERVAL_MS);
  const forward = forwardSignals(child);
  const { code, error } = await ended(child);
  clearInterval(progress);
  forward.stop();
  if (forward.signal() !== undefined) exitLike(null, forward.signal());
  if (error?.code === "ENOENT") throw new Error(`${command} is not on the PATH; install npm and try again`);
  if (code !== 0) {
    process.stderr.write(output);
    throw new Error(
      `the dependencies could not be installed (see above); check that the npm registry can be reached, then try again`,
    );
  }
}

/** Last progress line of the package manager. */
function progressOf(output) {
  const line = output
    .split(/\r?\n/)
    .findLast((text) => text.startsWith("Progress:"))
    ?.slice("Progress:".length)
    .trim();
  return line || "fetching the package manager";
}

/** Path of Node.js 24: from the dependencies, else that of this process if it is new enough. */
function node() {
  const installed = join(modules, ".bin", "node");
  if (existsSync(installed)) return installed;
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR) return process.execPath;
  throw new Error(
    `there is no Node ${NODE_MAJOR} package for ${process.platform}-${process.arch}, and this is Node ${process.versions.node}: ` +
      `install Node ${NODE_MAJOR} or newer and try again`,
  );
}

async function run(command, args) {
  const child = spawn(command, args, { stdio: "inherit" });
  forwardSignals(child);
  const { code, signal, error } = await ended(child);
  if (error !== undefined) fail(error);
  exitLike(code, signal);
}

/** Forwards signals to the child. From a terminal, which signals the whole group, the child gets them twice. */
function forwardSignals(child) {
  let received;
  const forward = (signal) => {
    received = signal;
    child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, forward);
  return { signal: () => received, stop: () => SIGNALS.forEach((signal) => process.off(signal, forward)) };
}

function ended(child) {
  return new Promise((fulfil) => {
    child.once("error", (error) => fulfil({ code: null, signal: null, error }));
    child.once("close", (code, signal) => fulfil({ code, signal }));
  });
}

/** Ends this process as the child ended. */
function exitLike(code, signal) {
  if (signal === null) process.exit(code);
  for (const name of SIGNALS) process.removeAllListeners(name);
  process.kill(process.pid, signal);
  // Reached if the signal does not end the process.
  process.exit(128 + system.signals[signal]);
}

function seconds(since) {
  return `${((Date.now() - since) / 1_000).toFixed(0)} s`;
}

function say(text) {
  process.stderr.write(`routeplane: ${text}\n`);
}

function fail(error) {
  say(error.message);
  process.exit(1);
}

main(process.argv.slice(2)).catch(fail);
