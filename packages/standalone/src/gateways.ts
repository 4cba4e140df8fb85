import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "./failure.ts";
import { findFreePort } from "./ports.ts";

export interface Gateway {
  readonly role: string;
  readonly port: number;
  /** Nobody asked for it: an earlier start had it, and its spool is not empty. */
  readonly isLeft: boolean;
}

/**
 * The gateways of a start: those that were asked for, and one more, on a port that nobody is told, for each other one whose
 * spool an earlier start has left something in. Nobody else would tell it, and rows would be missing that budgets were
 * charged for.
 *
 * @param spool folder with one for each gateway
 * @param innerPorts ports of the other processes, which are not chosen
 */
export async function gatewaysOf(
  spool: string,
  ports: readonly number[],
  innerPorts: readonly number[],
): Promise<readonly Gateway[]> {
  const roleOf = (index: number): string => (index === 0 ? "gateway" : `gateway-${index + 1}`);
  const asked = ports.map((port, index) => ({ role: roleOf(index), port, isLeft: false }));
  const roles = new Set(asked.map(({ role }) => role));
  const others = (await entriesOf(spool)).filter((role) => /^gateway-\d+$/.test(role) && !roles.has(role));
  const filled = await Promise.all(others.map(async (role) => (await entriesOf(join(spool, role))).length > 0));
  const left = others.filter((_, index) => filled[index]);
  const taken = new Set([...ports, ...innerPorts]);
  const found: Gateway[] = [];
  for (const role of left) {
    const port = await findFreePort((each) => taken.has(each));
    taken.add(port);
    found.push({ role, port, isLeft: true });
  }
  return [...asked, ...found];
}

/** None of a folder that is not there yet. */
async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
