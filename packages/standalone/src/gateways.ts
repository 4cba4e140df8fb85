import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { findFreePort } from "./ports.ts";
import { errorCode } from "./start-failure.ts";

export interface Gateway {
  readonly role: string;
  readonly port: number;
  readonly operationsPort: number;
  /** True if it was not requested and runs only to send the pending records that an earlier run left in its spool. */
  readonly isForSpool: boolean;
}

export interface InnerPorts {
  /** Ports of the node's other processes, which are not chosen. */
  readonly innerPorts: readonly number[];
  /** Operations port of the first gateway. */
  readonly operationsPort: number;
}

/**
 * Gateways of a start: one for each of `ports`, and one on a free inner port for each further spool that is not empty. Without the further
 * ones, the request log would lack requests that budgets were charged for.
 *
 * @param spool folder that holds one spool for each gateway
 */
export async function gatewaysOf(
  spool: string,
  ports: readonly number[],
  { innerPorts, operationsPort }: InnerPorts,
): Promise<readonly Gateway[]> {
  const roleOf = (index: number): string => (index === 0 ? "gateway" : `gateway-${index + 1}`);
  const usedPorts = new Set([...ports, ...innerPorts, operationsPort]);
  const freePort = async (): Promise<number> => {
    const port = await findFreePort((candidate) => usedPorts.has(candidate));
    usedPorts.add(port);
    return port;
  };
  const requested: Gateway[] = [];
  for (const [index, port] of ports.entries()) {
    const operations = index === 0 ? operationsPort : await freePort();
    requested.push({ role: roleOf(index), port, operationsPort: operations, isForSpool: false });
  }
  const roles = new Set(requested.map(({ role }) => role));
  const otherRoles = (await entriesOf(spool)).filter((entry) => /^gateway-\d+$/.test(entry) && !roles.has(entry));
  const entryCounts = await Promise.all(otherRoles.map(async (role) => (await entriesOf(join(spool, role))).length));
  const forSpools: Gateway[] = [];
  for (const role of otherRoles.filter((_, index) => entryCounts[index] !== 0)) {
    forSpools.push({ role, port: await freePort(), operationsPort: await freePort(), isForSpool: true });
  }
  return [...requested, ...forSpools];
}

/** Names in a folder; empty if the folder does not exist. */
async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
