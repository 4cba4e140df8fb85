import { readFile } from "node:fs/promises";
import type { TestNode } from "../../harness/node.ts";
import { familyCpuSeconds, familyOf } from "../times.ts";

/** Roles whose processes are measured. All gateways of a node count as one. */
export const ROLES = ["gateway", "policy", "auth", "usage", "aggregator", "nats", "postgres"] as const;
export type Role = (typeof ROLES)[number];

/** A number for each role. */
export type ByRole = Readonly<Record<Role, number>>;

/** Memory of the processes of a role, in MiB. */
export interface Memory {
  /** Resident memory: shared pages count in each process. */
  readonly residentMiB: number;
  /** Proportional set size: a shared page counts as its share. */
  readonly proportionalMiB: number;
}

/**
 * CPU time that each role has used so far, in seconds.
 *
 * @param except processes that are left out, e.g. the database connection of the benchmark
 */
export async function cpuByRole(node: TestNode, except: readonly number[] = []): Promise<ByRole> {
  return byRole(async (role) => {
    const pids = await pidsOf(node, role);
    const times = await Promise.all(pids.map((pid) => familyCpuSeconds(pid, except)));
    return times.reduce((sum, time) => sum + time, 0);
  });
}

/** Memory of each role, summed over its processes. */
export function memoryByRole(node: TestNode): Promise<Readonly<Record<Role, Memory>>> {
  return byRole(async (role) => {
    const families = await Promise.all((await pidsOf(node, role)).map(familyOf));
    const all = await Promise.all(families.flat().map(memoryOf));
    return {
      residentMiB: all.reduce((sum, { residentMiB }) => sum + residentMiB, 0),
      proportionalMiB: all.reduce((sum, { proportionalMiB }) => sum + proportionalMiB, 0),
    };
  });
}

/** Calculates a number for each role from those of others. */
export function mapRoles(calculate: (role: Role) => number): ByRole {
  return Object.fromEntries(ROLES.map((role) => [role, calculate(role)])) as Record<Role, number>;
}

async function byRole<T>(measure: (role: Role) => Promise<T>): Promise<Record<Role, T>> {
  const entries = await Promise.all(ROLES.map(async (role) => [role, await measure(role)] as const));
  return Object.fromEntries(entries) as Record<Role, T>;
}

async function pidsOf(node: TestNode, role: Role): Promise<readonly number[]> {
  const others = role === "gateway" ? node.urls.slice(1).map((_, index) => `gateway-${index + 2}`) : [];
  const pids = await Promise.all([role, ...others].map((name) => node.pid(name)));
  return pids.map((pid, index) => {
    if (pid === undefined) throw new Error(`process ${index + 1} of role ${role} has no pid file`);
    return pid;
  });
}

/** Memory of one process. */
export async function memoryOf(pid: number): Promise<Memory> {
  const [status, rollup] = await Promise.all([read(pid, "status"), read(pid, "smaps_rollup")]);
  return {
    residentMiB: mebibytes(/VmRSS:\s+(\d+) kB/, status),
    proportionalMiB: mebibytes(/^Pss:\s+(\d+) kB/m, rollup),
  };
}

function mebibytes(pattern: RegExp, text: string): number {
  return Number(pattern.exec(text)?.[1] ?? 0) / 1_024;
}

function read(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
}
