import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Network namespace for one process, with an address of its own, as a pod has. All packets to it can be dropped silently, as if its machine
 * or the network were lost: connections stay open, and new ones are never answered.
 */
export interface PodNetwork {
  /** Address of the process in it. */
  readonly address: string;
  /** Makes a server of this machine reachable from inside. @returns host and port there */
  expose(host: string, port: number): Promise<{ readonly host: string; readonly port: number }>;
  /** Command that runs another one inside, as the same process. */
  command(executable: string, args: readonly string[]): readonly [string, string[]];
  /** Drops every packet from now on, in both directions. */
  blackHole(): Promise<void>;
  remove(): Promise<void>;
}

/** Hardware address of the inner end. It is fixed, so that no packet waits for ARP. */
const INNER_MAC = "02:00:00:00:00:02";

/** True if this user may create network namespaces and their links: root may, outside of restricted containers. */
export function canIsolate(): boolean {
  const name = `rpcheck${process.pid}`;
  try {
    execFileSync("ip", ["netns", "add", name], { stdio: "ignore" });
  } catch {
    return false;
  }
  try {
    execFileSync("ip", ["link", "add", name.slice(0, 15), "type", "veth", "peer", "name", "eth0", "netns", name], {
      stdio: "ignore",
    });
    return true;
  } catch {
    return false;
  } finally {
    // The links go with it.
    execFileSync("ip", ["netns", "delete", name], { stdio: "ignore" });
  }
}

let created = 0;

export async function createPodNetwork(): Promise<PodNetwork> {
  const name = `rp${process.pid}n${++created}`;
  // 198.18.0.0/15 is set aside for tests of networks.
  const prefix = `198.${18 + (process.pid % 2)}.${(process.pid >> 1) % 256}`;
  const [outer, inner] = [`${prefix}.${created * 4 + 1}`, `${prefix}.${created * 4 + 2}`];
  const ip = (...args: readonly string[]) => run("ip", args);
  await ip("netns", "add", name);
  await ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "address", INNER_MAC, "netns", name);
  await ip("address", "add", `${outer}/30`, "dev", name);
  await ip("link", "set", name, "up");
  await ip("-netns", name, "address", "add", `${inner}/30`, "dev", "eth0");
  await ip("-netns", name, "link", "set", "lo", "up");
  await ip("-netns", name, "link", "set", "eth0", "up");
  await ip("neighbour", "replace", inner, "lladdr", INNER_MAC, "dev", name, "nud", "permanent");
  const relays: Server[] = [];
  const sockets = new Set<Socket>();
  return {
    address: inner,
    async expose(host, port) {
      const relay = createServer({ noDelay: true }, (client) => {
        const target = connect({ host, port, noDelay: true });
        for (const [from, to] of [
          [client, target],
          [target, client],
        ] as const) {
          sockets.add(from);
          from.on("error", () => to.destroy()).on("close", () => sockets.delete(from));
          from.pipe(to);
        }
      });
      relay.listen(0, outer);
      await once(relay, "listening");
      relays.push(relay);
      return { host: outer, port: (relay.address() as AddressInfo).port };
    },
    command: (executable, args) => ["nsenter", [`--net=/run/netns/${name}`, executable, ...args]],
    blackHole: async () => void (await ip("-netns", name, "link", "set", "eth0", "down")),
    async remove() {
      for (const relay of relays) relay.close();
      for (const socket of sockets) socket.destroy();
      await ip("netns", "delete", name);
    },
  };
}
