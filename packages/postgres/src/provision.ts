import pg from "pg";
import { ConnectionRefusal, refusalOf } from "./errors.ts";
import { DEFAULT_ROLE_PREFIX, roleNameOf } from "./role-names.ts";
import { scramSecret } from "./scram-secret.ts";

/**
 * Schemas and roles, made once by the database administrator before any migration: a schema for each service, owned by a role
 * that only migrations use, and for each process a role that owns nothing and is bound by row-level security.
 */
const SCHEMAS = [
  { schema: "auth", owner: "routeplane_auth_owner", processes: ["routeplane_auth"] },
  { schema: "policy", owner: "routeplane_policy_owner", processes: ["routeplane_policy"] },
  { schema: "usage", owner: "routeplane_usage_owner", processes: ["routeplane_usage", "routeplane_aggregator"] },
] as const;

/** Role of an installation, by its name with the default prefix. */
export type RoleName = (typeof SCHEMAS)[number]["owner"] | (typeof SCHEMAS)[number]["processes"][number];

export interface DatabasePlan {
  readonly database: string;
  /** Prefix of the names of the roles, which must be unique on the server. */
  readonly rolePrefix: string;
  /** Passwords, keyed by role. */
  readonly passwords: Readonly<Record<RoleName, string>>;
  /**
   * Password of the role for backups, `<prefix>_backup`, which reads every row and writes none: `pg_dump` under the owner of a schema
   * fails, because row-level security is forced on it too. Undefined: the role is not created, and an existing one is left as it is.
   */
  readonly backupPassword?: string | undefined;
}

export function databasePlan(
  database: string,
  password: (role: RoleName) => string,
  rolePrefix: string = DEFAULT_ROLE_PREFIX,
): DatabasePlan {
  const roles = SCHEMAS.flatMap(({ owner, processes }) => [owner, ...processes]);
  const passwords = Object.fromEntries(roles.map((role) => [role, password(role)])) as Record<RoleName, string>;
  return { database, rolePrefix, passwords };
}

const PROCESS_STATEMENT_TIMEOUT = "5s";
/**
 * Time-out of idle transactions. Short, because a process that is suspended in a transaction holds its locks until then, and other
 * processes wait.
 */
const IDLE_IN_TRANSACTION_TIMEOUT = "2s";

/**
 * SQL statements that set the defaults of every connection of a role to the database. They are settings of roles because poolers refuse
 * them as start-up parameters. Owners have no time-outs: a migration may take any time.
 */
export function roleSettings({
  database,
  rolePrefix,
}: Pick<DatabasePlan, "database" | "rolePrefix">): readonly string[] {
  const set = (role: RoleName, name: string, value: string): string =>
    `alter role ${roleNameOf(role, rolePrefix)} in database ${pg.escapeIdentifier(database)} set ${name} = ${pg.escapeLiteral(value)}`;
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
  const user = roleNameOf(role, plan.rolePrefix);
  return `postgres://${user}:${password}@${server.host}:${server.port}/${plan.database}`;
}

export interface ProvisionOptions {
  /** True to replace the passwords of existing roles by those of the plan; false by default. */
  readonly replacePasswords?: boolean;
}

/**
 * Creates the missing roles, database and schemas of the plan, and applies all settings. Idempotent: run again before an upgrade, it adds
 * what the new release needs.
 *
 * @param adminUrl connection string, to any database, of a superuser or a role that can create roles and databases
 * @throws Error, before any change, if a role has another password and `replacePasswords` is not set
 */
export async function provision(
  adminUrl: string,
  plan: DatabasePlan,
  { replacePasswords = false }: ProvisionOptions = {},
): Promise<void> {
  const database = pg.escapeIdentifier(plan.database);
  const roles = SCHEMAS.flatMap(({ owner, processes }) => [owner, ...processes]);
  const owners = SCHEMAS.map(({ owner }) => roleNameOf(owner, plan.rolePrefix)).join(", ");
  await withClient(adminUrl, async (client) => {
    const login = { adminUrl, client, replacePasswords };
    const statements: string[] = [];
    for (const role of roles)
      statements.push(...(await roleStatements(login, roleNameOf(role, plan.rolePrefix), plan.passwords[role])));
    if (plan.backupPassword !== undefined)
      statements.push(...(await backupRoleStatements(login, `${plan.rolePrefix}_backup`, plan.backupPassword)));
    for (const statement of statements) await client.query(statement);
    const existing = await client.query("select from pg_database where datname = $1", [plan.database]);
    if (existing.rowCount === 0) await client.query(`create database ${database}`);
    // In one transaction, so that a process that connects meanwhile has all settings or none.
    await client.query(roleSettings(plan).join("; "));
  });
  const url = new URL(adminUrl);
  url.pathname = `/${plan.database}`;
  await withClient(url.href, async (client) => {
    await client.query(`revoke all on database ${database} from public`);
    await client.query("revoke all on schema public from public");
    if (plan.backupPassword !== undefined)
      await client.query(`grant connect on database ${database} to ${plan.rolePrefix}_backup`);
    // Only a superuser may create objects for other owners. Any other administrator becomes a member of the owners for this time.
    const { rows } = await client.query<{ superuser: string }>("select current_setting('is_superuser') as superuser");
    const isSuperuser = rows[0]?.superuser === "on";
    if (!isSuperuser) await client.query(`grant ${owners} to current_user with inherit true, set true`);
    for (const { schema, owner, processes } of SCHEMAS) {
      await client.query(`create schema if not exists ${schema} authorization ${roleNameOf(owner, plan.rolePrefix)}`);
      for (const role of [owner, ...processes].map((each) => roleNameOf(each, plan.rolePrefix))) {
        await client.query(`grant connect on database ${database} to ${role}`);
        await client.query(`grant usage on schema ${schema} to ${role}`);
      }
    }
    if (!isSuperuser) await client.query(`revoke ${owners} from current_user granted by current_user`);
  });
}

interface Login extends Required<ProvisionOptions> {
  readonly adminUrl: string;
  readonly client: pg.Client;
}

const ATTRIBUTES = "login nosuperuser nobypassrls nocreatedb nocreaterole noinherit";
const BACKUP_ATTRIBUTES = "login nosuperuser bypassrls nocreatedb nocreaterole inherit";

/** Statements that create the role for backups. The administrator is a superuser, or has BYPASSRLS itself. */
async function backupRoleStatements(
  { adminUrl, client, replacePasswords }: Login,
  role: string,
  password: string,
): Promise<readonly string[]> {
  const secret = `password ${pg.escapeLiteral(scramSecret(password))}`;
  const { rowCount } = await client.query("select from pg_roles where rolname = $1", [role]);
  const exists = rowCount !== 0;
  if (exists && !replacePasswords && (await isWrongPassword(adminUrl, role, password))) throw otherPassword(role);
  return [
    `${exists ? "alter" : "create"} role ${role} with ${BACKUP_ATTRIBUTES} ${exists && !replacePasswords ? "" : secret}`,
    `grant pg_read_all_data to ${role}`,
    // pg_dump only reads. Nobody else who gets the password can do more.
    `alter role ${role} set default_transaction_read_only = on`,
  ];
}

function otherPassword(role: string): Error {
  return new Error(
    `the role ${role} exists with another password, possibly of another installation on this server: give this one a ` +
      `prefix of its own (ROUTEPLANE_ROLE_PREFIX), or replace the passwords (ROUTEPLANE_REPLACE_PASSWORDS=on)`,
  );
}

/** Statements that create a role or correct the one that exists. @throws Error if it has another password that stays */
async function roleStatements({ adminUrl, client, replacePasswords }: Login, role: string, password: string) {
  const secret = `password ${pg.escapeLiteral(scramSecret(password))}`;
  const existing = await client.query<{ sound: boolean }>(
    `select rolcanlogin and not (rolsuper or rolbypassrls or rolcreatedb or rolcreaterole or rolinherit) as sound
     from pg_roles where rolname = $1`,
    [role],
  );
  const [found] = existing.rows;
  if (found === undefined) return [`create role ${role} with ${ATTRIBUTES} ${secret}`];
  if (!replacePasswords && (await isWrongPassword(adminUrl, role, password))) throw otherPassword(role);
  // Corrects attributes only if they differ: an administrator without superuser rights may not set some of them, even to the same value.
  return [
    ...(found.sound ? [] : [`alter role ${role} with ${ATTRIBUTES}`]),
    ...(replacePasswords ? [`alter role ${role} with ${secret}`] : []),
  ];
}

const INVALID_PASSWORD = "28P01";

/** True if the server refuses the password. Other refusals, e.g. of the database, come after the password was accepted. */
async function isWrongPassword(adminUrl: string, role: string, password: string): Promise<boolean> {
  const url = new URL(adminUrl);
  url.username = role;
  url.password = encodeURIComponent(password);
  try {
    await withClient(url.href, async () => {});
    return false;
  } catch (error) {
    const cause = error instanceof ConnectionRefusal ? error.cause : error;
    return cause instanceof pg.DatabaseError && cause.code === INVALID_PASSWORD;
  }
}

async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A broken connection fails the next query; without a listener its error event would end the process.
  client.on("error", () => {});
  await client.connect().catch((error: unknown) => {
    throw refusalOf(error, "ROUTEPLANE_ADMIN_DATABASE_URL") ?? error;
  });
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
