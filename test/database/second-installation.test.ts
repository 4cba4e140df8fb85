import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { databasePlan, databaseUrl, openDatabase, provision, type RoleName } from "@routeplane/postgres";
import { cloneDatabase, compileCache } from "@routeplane/testing";
import pg from "pg";
import { afterAll, expect, it } from "vitest";

/** Tests of a second installation of Routeplane on the Postgres server of a first one, that of the tests. */
const first = await cloneDatabase();
const server = new URL(first.adminUrl);
const admin = new pg.Client({ connectionString: first.adminUrl });
await admin.connect();

const ENTRY = join(import.meta.dirname, "../../deploy/routeplane.ts");
const prefix = `second_${randomBytes(4).toString("hex")}`;
const database = `${prefix}_database`;
const planWith = (password: string, rolePrefix = prefix) => databasePlan(database, () => password, rolePrefix);
const address = { host: server.hostname, port: Number(server.port) };

afterAll(async () => {
  await admin.query(`drop database if exists ${database} with (force)`);
  const { rows } = await admin.query<{ name: string }>(
    "select rolname as name from pg_roles where starts_with(rolname, $1)",
    [prefix],
  );
  for (const { name } of rows) await admin.query(`drop owned by ${name}; drop role ${name}`);
  await admin.end();
  await first.drop();
});

/** Runs a role of the image to its end. */
async function run(role: string, environment: Record<string, string>) {
  const child = spawn(process.execPath, [ENTRY, role], {
    env: { PATH: process.env["PATH"], ...compileCache(), ...environment },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => (output += text.toString()));
  const [code] = await once(child, "close");
  return { code: Number(code), output };
}

function provisionJob(password: string, more: Record<string, string>) {
  const roles = ["AUTH", "POLICY", "USAGE"].flatMap((service) => [service, `${service}_OWNER`]);
  const passwords = [...roles, "AGGREGATOR"].map((role) => [`ROUTEPLANE_PASSWORD_${role}`, password] as const);
  const own = { ROUTEPLANE_ADMIN_DATABASE_URL: first.adminUrl, ROUTEPLANE_DATABASE: database };
  return run("provision", { ...Object.fromEntries(passwords), ...own, ...more });
}

async function canLogIn(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

it("is refused under the role names of the first one, and changes nothing", async () => {
  const { code, output } = await provisionJob("other", {});
  expect(output).toMatch(/the role routeplane_auth_owner exists with another password.*ROUTEPLANE_ROLE_PREFIX/);
  expect(code).toBe(1);
  expect(await canLogIn(first.url("routeplane_auth"))).toBe(true);
  expect((await admin.query("select from pg_database where datname = $1", [database])).rowCount).toBe(0);
});

it("has roles of its own under a prefix, which its migrations use too", async () => {
  const { code, output } = await provisionJob("one", { ROUTEPLANE_ROLE_PREFIX: prefix });
  expect(output).toBe(`provisioned database ${database}\n`);
  expect(code).toBe(0);
  const urlOf = (role: RoleName) => databaseUrl(planWith("one"), role, address);
  for (const service of ["auth", "policy", "usage"] as const) {
    const url = urlOf(`routeplane_${service}_owner`);
    expect((await run(`migrate-${service}`, { ROUTEPLANE_MIGRATION_DATABASE_URL: url })).output).toContain(
      "applied 0001",
    );
  }
  for (const [role, schema] of [
    ["routeplane_auth", "auth"],
    ["routeplane_policy", "policy"],
    ["routeplane_usage", "usage"],
    ["routeplane_aggregator", "usage"],
  ] as const) {
    const opened = openDatabase({ url: urlOf(role), schema, applicationName: "second" });
    await opened.requireProvisioned();
    expect(await opened.isReachable(), role).toBe(true);
    await opened.stop();
  }
  const own = new pg.Client({ connectionString: first.adminUrl.replace(/[^/]*$/, database) });
  await own.connect();
  const foreign = await own.query(
    `select from pg_class c, aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee where starts_with(r.rolname, 'routeplane_')
     union all select from pg_policies p, unnest(p.roles) r where starts_with(r, 'routeplane_')`,
  );
  const granted = await own.query("select from pg_policies p, unnest(p.roles) r where starts_with(r, $1)", [prefix]);
  await own.end();
  expect(foreign.rowCount).toBe(0);
  expect(granted.rowCount).toBeGreaterThan(10);
});

it("has a role for backups if it is given a password, which reads every row and writes none", async () => {
  const backup = (password: string) =>
    provisionJob("one", { ROUTEPLANE_ROLE_PREFIX: prefix, ROUTEPLANE_PASSWORD_BACKUP: password });
  for (const { code, output } of [await backup("of-backups"), await backup("of-backups")]) expect(code, output).toBe(0);
  expect((await backup("other")).output).toContain(`the role ${prefix}_backup exists with another password`);

  const url = new URL(first.adminUrl);
  [url.username, url.password, url.pathname] = [`${prefix}_backup`, "of-backups", `/${database}`];
  const role = new pg.Client({ connectionString: url.href });
  await role.connect();
  const attempt = (statement: string) =>
    role.query(statement).then(
      ({ rows }) => rows,
      (error: Error) => error.message,
    );
  // Like pg_dump, which fails if row-level security would hide rows.
  await role.query("set row_security = off");
  expect(await attempt("select id from usage.installation")).toHaveLength(1);
  expect(await attempt("delete from usage.installation")).toMatch(/read-only transaction/);
  await role.query("set default_transaction_read_only = off");
  expect(await attempt("delete from usage.installation")).toMatch(/permission denied/);
  await role.end();
  const owner = new pg.Client({ connectionString: databaseUrl(planWith("one"), "routeplane_usage_owner", address) });
  await owner.connect();
  await owner.query("set row_security = off");
  await expect(owner.query("select from installation")).rejects.toThrow(/would be affected by row-level security/);
  await owner.end();
});

it("is provisioned, and gets other passwords, without a password in what is sent to the server", async () => {
  const [secret, other] = ["secret-é\u00a0ﬁ'$", "other-secret"];
  let sent = "";
  const relay = createServer((socket) => {
    const upstream = connect(address.port, address.host);
    socket.on("data", (bytes: Buffer) => (sent += bytes.toString()));
    for (const each of [socket, upstream]) each.on("error", () => {});
    socket.pipe(upstream).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(relay, "listening");
  const through = new URL(first.adminUrl);
  through.host = `127.0.0.1:${(relay.address() as AddressInfo).port}`;
  const own = `${prefix}_relayed`;
  await provision(through.href, planWith(secret, own));
  expect(await canLogIn(databaseUrl(planWith(secret, own), "routeplane_auth", address))).toBe(true);
  await provision(through.href, planWith(other, own), { replacePasswords: true });
  expect(await canLogIn(databaseUrl(planWith(other, own), "routeplane_auth", address))).toBe(true);
  expect(await canLogIn(databaseUrl(planWith(secret, own), "routeplane_auth", address))).toBe(false);
  expect(sent).toContain(`create role ${own}_auth `);
  for (const each of [secret, other]) expect(sent.includes(each.slice(0, 8))).toBe(false);
  relay.close();
});

it("has its passwords replaced only on request", async () => {
  const asked = { ROUTEPLANE_ROLE_PREFIX: prefix };
  expect((await provisionJob("one", asked)).code).toBe(0);
  expect((await provisionJob("two", asked)).output).toContain("exists with another password");
  const logIn = (password: string) => canLogIn(databaseUrl(planWith(password), "routeplane_auth", address));
  expect(await logIn("one")).toBe(true);
  expect((await provisionJob("two", { ...asked, ROUTEPLANE_REPLACE_PASSWORDS: "on" })).code).toBe(0);
  expect([await logIn("one"), await logIn("two")]).toEqual([false, true]);
});

it("is provisioned, repeatedly, by an administrator who is not a superuser", async () => {
  const name = `${prefix}_dba`;
  await admin.query(`create role ${name} login createrole createdb password 'dba'`);
  const url = new URL(first.adminUrl);
  [url.username, url.password] = [name, "dba"];
  await admin.query(`drop database if exists ${database} with (force)`);
  const plan = planWith("three", `${prefix}_managed`);
  await provision(url.href, plan);
  await provision(url.href, plan);
  const opened = openDatabase({
    url: databaseUrl(plan, "routeplane_auth", address),
    schema: "auth",
    applicationName: "managed",
  });
  await opened.requireProvisioned();
  await opened.stop();
  const memberships = await admin.query(
    "select from pg_auth_members m join pg_roles r on r.oid = m.member where r.rolname = $1 and m.set_option",
    [name],
  );
  expect(memberships.rowCount).toBe(0);
});

it("is refused with a prefix that would need quotes", async () => {
  const { code, output } = await provisionJob("one", { ROUTEPLANE_ROLE_PREFIX: 'x"; drop' });
  expect(output).toContain("ROUTEPLANE_ROLE_PREFIX: must be a lower-case letter");
  expect(code).toBe(1);
});
