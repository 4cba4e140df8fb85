import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestNode } from "./node.ts";

type Service = "auth" | "policy" | "usage" | "aggregator";

/** Addresses of a node's processes, each `host:port`, as `packages/standalone/README.md` describes `run/addresses.json`. */
export interface NodeAddresses extends Readonly<Record<Service | "postgres" | "nats", string>> {
  readonly gateways: readonly string[];
  /** Ports of the hot methods, plain gRPC only. */
  readonly grpc: Readonly<Record<"auth" | "policy", string>>;
  /** Operations ports. Gateways after the first have theirs by role too, e.g. `gateway-2`. */
  readonly operations: Readonly<Record<Service | "gateway", string>>;
}

/** Reads where the processes of a running node listen. */
export async function addressesOf({ home }: Pick<TestNode, "home">): Promise<NodeAddresses> {
  return JSON.parse(await readFile(join(home, "run/addresses.json"), "utf8")) as NodeAddresses;
}
