import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { cloneDatabase } from "../src/clone-database.ts";
import { startNats } from "../src/start-nats.ts";

const [clone, otherClone] = await Promise.all([cloneDatabase(), cloneDatabase()]);
afterAll(() => Promise.all([clone.drop(), otherClone.drop()]));

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

it("gives a clone the schema of every service", async () => {
  const rows = await query<{ schema: string }>(
    clone.adminUrl,
    "select distinct table_schema as schema from information_schema.tables where table_schema !~ '^(pg_|information)' order by 1",
  );
  expect(rows.map(({ schema }) => schema)).toEqual(["auth", "policy", "usage"]);
});

it("shares no table between two clones", async () => {
  await query(clone.adminUrl, "create table public.mark (id int)");
  expect(await query(otherClone.adminUrl, "select to_regclass('public.mark') as mark")).toEqual([{ mark: null }]);
});

it("connects as a role that is bound by row-level security", async () => {
  const [row] = await query(
    clone.url("routeplane_auth"),
    "select current_user as role, rolsuper or rolbypassrls as unbound from pg_roles where rolname = current_user",
  );
  expect(row).toEqual({ role: "routeplane_auth", unbound: false });
});

it("brings a killed broker back on the same address", async () => {
  const nats = await startNats();
  await nats.kill();
  await nats.start();
  await nats.remove();
});
