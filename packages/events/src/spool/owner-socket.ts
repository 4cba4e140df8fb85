import { closeSync, lstatSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@routeplane/runtime";
import { codeOf } from "./lock.ts";

/** Identity of an owner of a folder, as it is recorded for the next process there. */
export interface Owner {
  /** Boot of the machine; empty if it is not known. */
  readonly bootId: string;
  /** Device and number of the file of its socket, which a copy of the folder does not have; empty without a socket. */
  readonly socket: string;
}

/** Claim on a folder: this process's own identity, and what is known of the process that had the folder before. */
export interface Ownership {
  readonly owner: Owner;
  /** True if the process with this identity had the folder until now and is certainly dead. */
  readonly isDead: (former: Owner) => boolean;
  readonly close: () => void;
}

const SOCKET = "owner.sock";
const PROBE_TIMEOUT_MS = 500;

/**
 * Listens on a Unix socket in a folder for as long as this process lives, after probing the socket of the former owner. A refused
 * connection proves that the process that bound the socket is dead, whichever container it ran in; a pid proves nothing across containers.
 * If no socket can be bound in the folder, nothing can be proved later.
 */
export async function claimOwnership(folder: string, log: Logger): Promise<Ownership> {
  const path = join(folder, SOCKET);
  const bootId = readBootId();
  const former = identityOf(path);
  const hasRefused = former !== "" && (await withShortPath(folder, probe));
  rmSync(path, { force: true });
  const server = await withShortPath(folder, listen).catch((error: unknown) => {
    log.warn(
      { err: error, folder },
      "no socket in the spool folder: after a kill, reservations are settled from the usage log",
    );
    return undefined;
  });
  const owner = { bootId, socket: server === undefined ? "" : identityOf(path) };
  return {
    owner,
    isDead: (recorded) =>
      hasRefused && bootId !== "" && recorded.bootId === bootId && recorded.socket !== "" && recorded.socket === former,
    close() {
      server?.close();
      if (identityOf(path) === owner.socket) rmSync(path, { force: true });
    },
  };
}

/** Calls `use` with a path of the socket that fits into a socket address (107 bytes), however long the folder's path is. */
async function withShortPath<T>(folder: string, use: (path: string) => Promise<T>): Promise<T> {
  const descriptor = openSync(folder, "r");
  try {
    return await use(`/proc/self/fd/${descriptor}/${SOCKET}`);
  } finally {
    closeSync(descriptor);
  }
}

/** Resolves to true if the socket refuses the connection. If it accepts or does not answer, its owner may be alive. */
async function probe(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path, () => resolve(false));
  socket.on("error", (error) => resolve(codeOf(error) === "ECONNREFUSED"));
  const isRefused = await Promise.race([promise, delay(PROBE_TIMEOUT_MS, false, { ref: false })]);
  socket.destroy();
  return isRefused;
}

async function listen(path: string): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const server = createServer((socket) => socket.destroy());
  server.once("error", reject);
  server.listen(path, resolve);
  await promise;
  server.unref();
  return server;
}

function identityOf(path: string): string {
  try {
    const { dev, ino } = lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return "";
  }
}

function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
