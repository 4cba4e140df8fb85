import { randomUUID } from "node:crypto";
import { databasePlan, databaseUrl, type RoleName, roleSettings } from "@routeplane/postgres";
import pg from "pg";
import { inject } from "vitest";

/** A database with the schemas of every service and no rows. */
export interface TestDatabase {
  readonly name: string;
  /** URL for the superuser, who bypasses row-level security. */
  readonly adminUrl: string;
  /** `adminUrl` with a schema as search_path, which the superuser does not have by itself. */
  adminUrlOf(schema: string): string;
  /** URL for one of the roles of the node. */
  url(role: RoleName): string;
  /** Drops the database and ends its connections. */
  drop(): Promise<void>;
}

/** Creates a database from the template, in 50 to 100 ms. Meant to be called once per test file. */
export async function cloneDatabase(): Promise<TestDatabase> {
  const { template } = inject("testServers").postgres;
  const { server, plan, database } = nextDatabase();
  await execute(`${server}/postgres`, `create database ${database.name} template ${template}`);
  // Settings of roles belong to one database: those of the template are not copied.
  await execute(`${server}/postgres`, roleSettings(plan).join("; "));
  return database;
}

/** Creates a database that was neither provisioned nor migrated. The roles of the server exist, with the passwords of its URLs. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  const { server, database } = nextDatabase();
  await execute(`${server}/postgres`, `create database ${database.name}`);
  return database;
}

function nextDatabase() {
  const { port, superuserPassword, passwords } = inject("testServers").postgres;
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  const server = `postgres://postgres:${superuserPassword}@127.0.0.1:${port}`;
  const plan = databasePlan(name, (role) => passwords[role] ?? "");
  const database: TestDatabase = {
    name,
    adminUrl: `${server}/${name}`,
    adminUrlOf: (schema) => `${server}/${name}?options=${encodeURIComponent(`-c search_path=${schema}`)}`,
    url: (role) => databaseUrl(plan, role, { host: "127.0.0.1", port }),
    drop: () => execute(`${server}/postgres`, `drop database if exists ${name} with (force)`),
  };
  return { server, plan, database };
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
