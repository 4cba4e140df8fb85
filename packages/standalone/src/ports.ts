import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { randomInt } from "node:crypto";
import { errorCode, StartFailure } from "./start-failure.ts";

/**
 * Port ranges of nodes and of tests. Both are below the range from which systems take ports for outgoing connections, so that the
 * port of a restarted process is still free.
 */
export const INNER_PORTS = { from: 20_000, to: 32_000 };
const RESERVED_PORTS = { from: 10_000, to: 20_000 };
const ATTEMPTS = 200;
const HOST = "127.0.0.1";

export interface ReservedPorts {
  readonly ports: readonly number[];
  readonly release: () => void;
}

/**
 * Reserves free ports on 127.0.0.1 for tests, which start many nodes and servers at a time. Until they are released, or this
 * process ends, no other call on this machine returns the same ports: each is reserved by a socket in Linux's abstract namespace.
 * Any user of the machine can open such sockets, so a node outside tests does not use them.
 *
 * @param adjacent true for consecutive ports
 */
export async function reservePorts(count: number, adjacent = false): Promise<ReservedPorts> {
  const blocks = adjacent ? [count] : Array.from({ length: count }, () => 1);
  const reserved: ReservedPorts[] = [];
  const release = (): void => reserved.forEach((block) => block.release());
  try {
    for (const size of blocks) reserved.push(await reserveBlock(size));
  } catch (error) {
    release();
    throw error;
  }
  return { ports: reserved.flatMap(({ ports }) => ports), release };
}

async function reserveBlock(size: number): Promise<ReservedPorts> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const from = randomInt(RESERVED_PORTS.from, RESERVED_PORTS.to - size);
    const ports = Array.from({ length: size }, (_, index) => from + index);
    const marks: Server[] = [];
    const release = (): void => marks.forEach((mark) => mark.close());
    for (const port of ports) {
      const mark = await tryListen(process.platform === "linux" ? { path: `\0routeplane-port-${port}` } : { port: 0 });
      if (mark === undefined) break;
      marks.push(mark.unref());
      if (!(await isPortFree(port))) break;
      if (port === ports.at(-1)) return { ports, release };
    }
    release();
  }
  throw noFreePort(RESERVED_PORTS);
}

/** Finds a free inner port on 127.0.0.1 that is not `taken`. @throws StartFailure if there is none */
export async function findFreePort(taken: (port: number) => boolean): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const port = randomInt(INNER_PORTS.from, INNER_PORTS.to);
    if (!taken(port) && (await isPortFree(port))) return port;
  }
  throw noFreePort(INNER_PORTS);
}

function noFreePort({ from, to }: typeof INNER_PORTS): StartFailure {
  return new StartFailure(`there is no free port between ${from} and ${to} on ${HOST}`);
}

/** @throws StartFailure naming the first port that is in use, or that this user may not listen on */
export async function assertPortsFree(ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    if (port > 65_535) throw new StartFailure(`port ${port} does not exist: choose a lower one with ROUTEPLANE_PORT`);
    try {
      if (await isPortFree(port)) continue;
    } catch (error) {
      if (errorCode(error) !== "EACCES") throw error;
      throw new StartFailure(`port ${port} needs more privileges: choose one above 1023 with ROUTEPLANE_PORT`);
    }
    throw new StartFailure(`port ${port} is in use: stop what listens there, or choose another with ROUTEPLANE_PORT`);
  }
}

/** True if no process listens on the port, on 127.0.0.1 or on all addresses. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = await tryListen({ port, host: HOST });
  if (server === undefined) return false;
  server.close();
  await once(server, "close");
  return true;
}

async function tryListen(address: { path: string } | { port: number; host?: string }): Promise<Server | undefined> {
  const server = createServer((peer) => peer.destroy());
  server.listen(address);
  try {
    await once(server, "listening");
    return server;
  } catch (error) {
    if (errorCode(error) === "EADDRINUSE") return undefined;
    throw error;
  }
}
