import { createHash, randomBytes } from "node:crypto";
import type { RoleName } from "@routeplane/postgres";
import { reservePorts } from "@routeplane/standalone";
import { cloneDatabase, startNats } from "@routeplane/testing";
import pg from "pg";
import type { Workload } from "./workloads.ts";

/** Addresses and Secrets of a node on this machine, for processes with the environment of the manifests. Its database is not provisioned. */
export interface LocalNode {
  /** Name of the database that provision creates. */
  readonly database: string;
  /** Port on which a role listens. */
  readonly portOf: (role: string) => number;
  readonly operationsPortOf: (role: string) => number;
  readonly databaseUrl: (role: RoleName) => string;
  /** Environment of a workload, with addresses of this machine and values of its Secrets. Paths are those of the manifest. */
  environmentOf(workload: Workload): Record<string, string>;
  /** Runs a statement, as the superuser unless a URL says otherwise. */
  execute(statement: string, url?: string): Promise<void>;
  remove(): Promise<void>;
}

/** Token of a caller. The bootstrap Job is the caller `installer`. */
const tokenOf = (role: string): string => `rps_of-${role}`;
const CALLERS = { gateway: "gateway", policy: "policy", usage: "usage", console: "console", bootstrap: "installer" };

/** Creates a node with ports for the serving roles, on a Postgres server and a NATS server of the tests. */
export async function createLocalNode(serving: readonly string[]): Promise<LocalNode> {
  const database = `deploy_${randomBytes(8).toString("hex")}`;
  const [server, nats, reserved] = await Promise.all([cloneDatabase(), startNats(), reservePorts(2 * serving.length)]);
  const portOf = (role: string): number => reserved.ports[serving.indexOf(role)] ?? 0;
  const operationsPortOf = (role: string): number => reserved.ports[serving.length + serving.indexOf(role)] ?? 0;

  function databaseUrl(role: RoleName): string {
    const url = new URL(server.url(role));
    url.pathname = `/${database}`;
    return url.href;
  }

  function secretOf(name: string, role: string): string | undefined {
    const secrets: Record<string, string> = {
      ROUTEPLANE_SERVICE_TOKEN: tokenOf(role),
      ROUTEPLANE_SERVICE_CREDENTIALS: Object.entries(CALLERS)
        .map(([holder, caller]) => `${caller}:${createHash("sha256").update(tokenOf(holder)).digest("hex")}`)
        .join(","),
      ROUTEPLANE_KEY_PEPPERS: `p1:${"0f".repeat(32)}`,
      ROUTEPLANE_CONSOLE_KEYS: `c1:${Buffer.alloc(32, 15).toString("base64url")}`,
      ROUTEPLANE_NATS_URL: role === "gateway" ? nats.gatewayUrl : nats.aggregatorUrl,
      ROUTEPLANE_ADMIN_DATABASE_URL: server.adminUrl,
      ROUTEPLANE_DATABASE_URL: databaseUrl(`routeplane_${role}` as RoleName),
      ROUTEPLANE_MIGRATION_DATABASE_URL: databaseUrl(`routeplane_${role.replace("migrate-", "")}_owner` as RoleName),
    };
    const [, roleName] = /^ROUTEPLANE_PASSWORD_(.+)$/.exec(name) ?? [];
    if (roleName !== undefined) return new URL(server.url(`routeplane_${roleName.toLowerCase()}` as RoleName)).password;
    return secrets[name];
  }

  function valueOf(name: string, value: string | undefined, role: string): string | undefined {
    if (name === "ROUTEPLANE_PORT") return String(portOf(role));
    if (name === "ROUTEPLANE_OPERATIONS_PORT") return String(operationsPortOf(role));
    if (name === "ROUTEPLANE_GRPC_PORT") return "0";
    const [, callee = ""] = /^http:\/\/routeplane-([a-z]+):\d+$/.exec(value ?? "") ?? [];
    return callee === "" ? (value ?? secretOf(name, role)) : `http://127.0.0.1:${portOf(callee)}`;
  }

  async function execute(statement: string, url = server.adminUrl): Promise<void> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  }

  return {
    database,
    portOf,
    operationsPortOf,
    databaseUrl,
    execute,
    environmentOf({ role, environment }) {
      const variables = [...environment].flatMap(([name, value]) => {
        const text = valueOf(name, value, role);
        return text === undefined ? [] : [[name, text] as const];
      });
      return Object.fromEntries(role === "provision" ? [...variables, ["ROUTEPLANE_DATABASE", database]] : variables);
    },
    async remove() {
      await execute(`drop database if exists ${database} with (force)`);
      await Promise.all([server.drop(), nats.remove()]);
      reserved.release();
    },
  };
}
