import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { VerificationService } from "@routeplane/contracts/auth";
import { mintToken } from "@routeplane/credentials";
import { connectGrpc, type GrpcClient } from "@routeplane/testing";
import pg from "pg";
import { addressesOf } from "../harness/addresses.ts";
import { startNode, type TestNode } from "../harness/node.ts";
import { cpuSeconds, median } from "./times.ts";

/**
 * Measures the CPU that a verification over gRPC costs the auth service, beside an empty @grpc/grpc-js handler. The two alternate in turns
 * of a second. Each figure is the median of the turns. A share compares a turn with the empty handler's turn right before it, so that
 * other work on the machine, which slows both, changes it little.
 */

const CONCURRENCY = 32;
const WARM_UP_MS = 2_000;
/** Time at the start of a turn that is not measured, because the turn before it filled the CPU caches with other data. */
const SETTLE_MS = 100;
const MEASURE_MS = 1_000;
const ROUNDS = 12;
const FUTURE_CHANGE = 2n ** 62n;

interface Target {
  readonly name: string;
  readonly client: GrpcClient;
  readonly pid: number;
  readonly token: () => string;
  readonly serviceToken: string;
  /** Number that no change has reached yet, so that auth must not answer from its cache. */
  readonly knownChange?: bigint;
  readonly outcome: "key" | "refusal" | undefined;
}

interface Result {
  readonly perSecond: number;
  /** Calls per second of the server's CPU time, over all threads. */
  readonly perCpuSecond: number;
  /** Number of auth's database connections that ran a query meanwhile. */
  readonly queryingConnections: number;
}

async function main(): Promise<void> {
  const child = fork(join(import.meta.dirname, "empty-grpc-server.ts"));
  const [emptyAddress] = (await once(child, "message")) as [string];
  const node = await startNode();
  try {
    const postgres = await superuser(node);
    const targets = await targetsOf(node, child, emptyAddress);
    // Gives the server a core of its own, where the system allows it.
    await Promise.all([pin(process.pid, 1), ...targets.map(({ pid }) => pin(pid, 0))]);
    for (const target of targets) await run(target, WARM_UP_MS);
    const results = new Map<Target, Result[]>(targets.map((target) => [target, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [target, own] of results) {
        await run(target, SETTLE_MS);
        own.push(await measured(postgres, target));
      }
    }
    print(results);
    for (const { client } of targets) client.close();
    await postgres.end();
  } finally {
    await node.remove();
    child.kill();
  }
}

async function targetsOf(node: TestNode, child: ChildProcess, emptyAddress: string): Promise<readonly Target[]> {
  const { auth: connect, grpc } = await addressesOf(node);
  const key = await node.apiKey();
  const valid = (): string => key;
  // A token of the right shape with a wrong checksum.
  const junk = (): string => {
    const token = mintToken("key");
    return `${token.slice(0, -1)}${token.endsWith("0") ? "1" : "0"}`;
  };
  const { serviceToken } = await secretsOf(node);
  const empty = { client: connectGrpc(emptyAddress), pid: child.pid ?? 0, serviceToken };
  const served = { client: connectGrpc(grpc.auth), pid: (await node.pid("auth")) ?? 0, serviceToken };
  const overConnect = { ...served, client: connectGrpc(connect) };
  return [
    { ...empty, name: "empty @grpc/grpc-js handler", token: valid, outcome: undefined },
    { ...served, name: "VerifyKey, warm", token: valid, outcome: "key" },
    { ...served, name: "VerifyKey, junk token", token: junk, outcome: "refusal" },
    { ...served, name: "VerifyKey, cold every time", token: valid, knownChange: FUTURE_CHANGE, outcome: "key" },
    { ...overConnect, name: "the same over Connect's gRPC", token: valid, knownChange: FUTURE_CHANGE, outcome: "key" },
  ];
}

type Load = Omit<Result, "queryingConnections">;

async function run(target: Target, durationMs: number): Promise<Load> {
  const { client, pid, token, serviceToken, knownChange = 0n, outcome } = target;
  const cpu = await cpuSeconds(pid);
  const started = performance.now();
  let calls = 0;
  const worker = async (): Promise<void> => {
    for (; performance.now() < started + durationMs; calls += 1) {
      const answer = await client.call(
        VerificationService.method.verifyKey,
        { token: token(), knownChange },
        { token: serviceToken },
      );
      if (answer.outcome.case !== outcome)
        throw new Error(`expected ${outcome}, got ${JSON.stringify(answer.outcome)}`);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const perCpuSecond = calls / ((await cpuSeconds(pid)) - cpu);
  return { perSecond: (calls * 1_000) / (performance.now() - started), perCpuSecond };
}

/**
 * Measures a target. Connections that ran a query are counted afterwards, other than one that checks the schema: auth's pool keeps idle ones
 * for 10 s.
 */
async function measured(postgres: pg.Client, target: Target): Promise<Result> {
  const { rows: since } = await postgres.query<{ now: Date }>("select clock_timestamp() as now");
  const load = await run(target, MEASURE_MS);
  const { rows } = await postgres.query<{ query: string }>(
    "select query from pg_stat_activity where application_name = 'routeplane-auth' and query_start > $1 and query !~ 'kysely_migration'",
    [since[0]?.now],
  );
  if (target.outcome === "refusal" && rows.length > 0)
    throw new Error(`junk tokens reached Postgres: ${rows[0]?.query}`);
  return { ...load, queryingConnections: rows.length };
}

/** Pins all threads of a process to one core, if `taskset` exists. */
async function pin(pid: number, core: number): Promise<void> {
  await promisify(execFile)("taskset", ["--all-tasks", "--pid", "--cpu-list", `${core}`, `${pid}`]).catch(() => {});
}

interface Secrets {
  readonly serviceToken: string;
  readonly superuserPassword: string;
}

async function secretsOf(node: TestNode): Promise<Secrets> {
  return JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8")) as Secrets;
}

async function superuser(node: TestNode): Promise<pg.Client> {
  const { superuserPassword: password } = await secretsOf(node);
  const port = Number((await readFile(join(node.home, "postgres/data/postmaster.pid"), "utf8")).split("\n")[3]);
  const client = new pg.Client({ host: "127.0.0.1", port, user: "postgres", database: "postgres", password });
  // The node closes this connection when it stops. That error must not hide another one.
  client.on("error", () => {});
  await client.connect();
  return client;
}

function print(results: ReadonlyMap<Target, readonly Result[]>): void {
  const [empty = []] = results.values();
  for (const [{ name }, own] of results) {
    const perCpuSecond = median(own.map((result) => result.perCpuSecond));
    const perSecond = median(own.map((result) => result.perSecond));
    const connections = Math.max(...own.map(({ queryingConnections }) => queryingConnections));
    const shares = own.map((result, round) => result.perCpuSecond / (empty[round]?.perCpuSecond ?? Number.NaN));
    const figures = `${perCpuSecond.toFixed(0).padStart(6)} calls per second of its CPU   ${median(shares).toFixed(2)} of empty`;
    const queries = connections === 0 ? "no query" : `queries on ${connections} connections`;
    process.stdout.write(
      `${name.padEnd(30)}${figures} (${quartiles(shares)})   ${queries}   (${perSecond.toFixed(0)} calls/s)\n`,
    );
  }
}

/** Range of the middle half of the values. */
function quartiles(values: readonly number[]): string {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): string => (sorted[Math.round((sorted.length - 1) * share)] ?? 0).toFixed(2);
  return `${at(0.25)} to ${at(0.75)}`;
}

await main();
