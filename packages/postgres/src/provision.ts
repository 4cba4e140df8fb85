import pg from "pg";

/**
 * Schemas and roles, made once by the database administrator before any migration: a schema for each service, owned by a role
 * that only migrations use, and for each process a role that owns nothing and is bound by row-level security.
 */
const SCHEMAS = [
  { schema: "auth", owner: "routeplane_auth_owner", processes: ["routeplane_auth"] },
  { schema: "policy", owner: "routeplane_policy_owner", processes: ["routeplane_policy"] },
  { schema: "usage", owner: "routeplane_usage_owner", processes: ["routeplane_usage", "routeplane_aggregator"] },
] as const;

export type RoleName = (typeof SCHEMAS)[number]["owner"] | (typeof SCHEMAS)[number]["processes"][number];

export interface DatabasePlan {
  readonly database: string;
  /** Passwords, keyed by role. */
  readonly passwords: Readonly<Record<RoleName, string>>;
}

export function databasePlan(database: string, password: (role: RoleName) => string): DatabasePlan {
  const roles = SCHEMAS.flatMap(({ owner, processes }) => [owner, ...processes]);
  const passwords = Object.fromEntries(roles.map((role) => [role, password(role)])) as Record<RoleName, string>;
  return { database, passwords };
}

const PROCESS_STATEMENT_TIMEOUT = "5s";
const IDLE_IN_TRANSACTION_TIMEOUT = "10s";

/**
 * SQL statements that set what every connection of a role to the database begins with. They are settings of roles because
 * poolers refuse them as start-up parameters. Owners have no time-outs: a migration takes as long as it takes.
 */
export function roleSettings(database: string): readonly string[] {
  const set = (role: string, name: string, value: string): string =>
    `alter role ${role} in database ${pg.escapeIdentifier(database)} set ${name} = ${pg.escapeLiteral(value)}`;
  return SCHEMAS.flatMap(({ schema, owner, processes }) => [
    ...[owner, ...processes].map((role) => set(role, "search_path", schema)),
    ...processes.flatMap((role) => [
      set(role, "statement_timeout", PROCESS_STATEMENT_TIMEOUT),
      set(role, "idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
    ]),
  ]);
}

/** Connection string of `role` on a server. */
export function databaseUrl(plan: DatabasePlan, role: RoleName, server: { host: string; port: number }): string {
  const password = encodeURIComponent(plan.passwords[role]);
  return `postgres://${role}:${password}@${server.host}:${server.port}/${plan.database}`;
}

/**
 * Creates the roles, the database and the schemas of the plan where they are missing, and sets all passwords and settings.
 * Idempotent: run again before an upgrade, it gives a database that an earlier release provisioned what this one needs.
 *
 * @param adminUrl connection string, to any database, of a superuser or a role that can create roles and databases
 */
export async function provision(adminUrl: string, plan: DatabasePlan): Promise<void> {
  await withClient(adminUrl, async (client) => {
    for (const [role, password] of Object.entries(plan.passwords)) await ensureRole(client, role, password);
    const existing = await client.query("select from pg_database where datname = $1", [plan.database]);
    if (existing.rowCount === 0) await client.query(`create database ${pg.escapeIdentifier(plan.database)}`);
    // Together: a process that connects meanwhile has all of them or none.
    await client.query(roleSettings(plan.database).join("; "));
  });
  const url = new URL(adminUrl);
  url.pathname = `/${plan.database}`;
  await withClient(url.href, async (client) => {
    await client.query(`revoke all on database ${pg.escapeIdentifier(plan.database)} from public`);
    await client.query("revoke all on schema public from public");
    for (const { schema, owner, processes } of SCHEMAS) {
      await client.query(`create schema if not exists ${schema} authorization ${owner}`);
      for (const role of [owner, ...processes]) {
        await client.query(`grant connect on database ${pg.escapeIdentifier(plan.database)} to ${role}`);
        await client.query(`grant usage on schema ${schema} to ${role}`);
      }
    }
  });
}

async function ensureRole(client: pg.Client, role: string, password: string): Promise<void> {
  const attributes = "login nosuperuser nobypassrls nocreatedb nocreaterole noinherit";
  const existing = await client.query("select from pg_roles where rolname = $1", [role]);
  const verb = existing.rowCount === 0 ? "create" : "alter";
  await client.query(`${verb} role ${role} with ${attributes} password ${pg.escapeLiteral(password)}`);
}

async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A broken connection fails the next query; without a listener its error event would end the process.
  client.on("error", () => {});
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
