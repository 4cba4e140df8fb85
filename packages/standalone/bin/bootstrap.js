/**
 * `node bootstrap.js [script] [arguments]`: makes sure that the checkout's dependencies are installed, then runs the script
 * (if one is named) with the Node that comes with them. Plain JavaScript without imports from outside, because it runs
 * before anything is installed, on whatever Node (20 or newer) the machine has.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, constants, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { writeFileSync, writeSync } from "node:fs";
import { constants as system } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CHECKOUT = resolve(fileURLToPath(import.meta.url), "../../../..");
/** Holds a package-lock.json with the hash of the package manager for each platform. */
const PACKAGE_MANAGER = join(CHECKOUT, "packages/standalone/bin/package-manager");
const NODE_MAJOR = 24;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];
/** Held by the process that installs. Not in node_modules, which the package manager may replace. */
const LOCK = join(CHECKOUT, ".routeplane-install.lock");
const LOCK_INTERVAL_MS = 200;
/** How often a long installation says where it is. */
const PROGRESS_INTERVAL_MS = 3_000;

const modules = join(CHECKOUT, "node_modules");
const stamp = join(modules, ".routeplane-installed");

async function main([script, ...args]) {
  if (!isInstalled()) await alone(install);
  if (script !== undefined) await run(node(), [resolve(CHECKOUT, script), ...args]);
}

/** Whether node_modules was installed from the lockfile as it is now. */
function isInstalled() {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === lockfileHash();
}

function lockfileHash() {
  return createHash("sha256")
    .update(readFileSync(join(CHECKOUT, "pnpm-lock.yaml")))
    .digest("hex");
}

/**
 * Runs `work` while no other process of this checkout does, and not at all if it is done by the time it is our turn. The lock
 * is the kernel's, on a file that only its owner can open: it ends with its holder, however that ends, and no other user can
 * take it. The file stays, with the pid of its last holder.
 */
async function alone(work) {
  if (process.platform !== "linux") return work();
  const file = openSync(LOCK, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    await untilLocked(file);
    ftruncateSync(file);
    writeSync(file, `${process.pid}\n`, 0);
    if (!isInstalled()) await work();
  } finally {
    closeSync(file);
  }
}

/** @throws Error that names file and holder, once the time limit for an installation is over */
async function untilLocked(file) {
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

/** @throws Error if ROUTEPLANE_INSTALL_WAIT_SECS is no number: the wait would have no end */
function installWaitMs() {
  const text = process.env.ROUTEPLANE_INSTALL_WAIT_SECS || "600";
  const seconds = Number(text);
  if (seconds >= 0 && seconds <= 86_400) return 1_000 * seconds;
  throw new Error(
    `ROUTEPLANE_INSTALL_WAIT_SECS is ${JSON.stringify(text)}: set it to seconds from 0 to 86400, or unset it`,
  );
}

/** `flock` of util-linux locks the file that it is handed; the lock is of the open file, which stays open here. */
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
  await installWith(packageManager(), ["install", "--frozen-lockfile", "--reporter=append-only"], CHECKOUT, startedAt);
  mkdirSync(modules, { recursive: true });
  writeFileSync(stamp, hash);
  say(`dependencies installed (${seconds(startedAt)})`);
}

/**
 * Path of the package manager.
 *
 * @throws Error if npm skipped the optional package, which it does for another platform and for a hash that differs
 */
function packageManager() {
  const name = `@pnpm/exe.${process.platform}-${process.arch}`;
  const file = join(PACKAGE_MANAGER, "node_modules", name, "pnpm");
  if (existsSync(file)) return file;
  throw new Error(
    `npm installed no package manager: ${name} is not offered for this platform, or what the registry has is not what ` +
      `${join(PACKAGE_MANAGER, "package-lock.json")} has the hash of`,
  );
}

/** Runs a step of the installation, whose output shows only if it fails. @throws Error if it does */
async function installWith(command, args, folder, startedAt) {
  // CI: never ask anything.
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

/** The package manager's last word on how far it is. */
function progressOf(output) {
  const line = output
    .split(/\r?\n/)
    .findLast((text) => text.startsWith("Progress:"))
    ?.slice("Progress:".length)
    .trim();
  return line || "fetching the package manager";
}

/** Node 24: the one that the dependencies bring, else this very one if it is new enough. */
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

/** A signal sent to this process alone reaches the child too. From a terminal it gets it twice, and must not mind. */
function forwardSignals(child) {
  let received;
  const pass = (signal) => {
    received = signal;
    child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, pass);
  return { signal: () => received, stop: () => SIGNALS.forEach((signal) => process.off(signal, pass)) };
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
  // Reached if the signal does not end a process by itself.
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
