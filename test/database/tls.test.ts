import { chown, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { databasePlan, databaseUrl, openDatabase, provision, setSchemaCondition } from "@routeplane/postgres";
import { reservePorts } from "@routeplane/standalone";
import { createLogger, Readiness } from "@routeplane/runtime";
import { preparePostgres, superuserUrl, supervise } from "@routeplane/standalone/servers";
import { createAuthority, eventually, type IssuedCertificate } from "@routeplane/testing";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";

/** Server that accepts connections only over TLS. */
const authority = createAuthority();
const other = createAuthority();
const folder = await mkdtemp(join(tmpdir(), "routeplane-tls-"));
const { ports, release } = await reservePorts(1);
const [port = 0] = ports;
const log = join(folder, "postgres.log");
const login = { port, password: "secret" };
const CA = authority.caFile;
const plan = databasePlan("secure", () => "of-the-role");
const url = databaseUrl(plan, "routeplane_auth", { host: "127.0.0.1", port });
const server = supervise(
  await preparePostgres({ ...login, folder, durable: false, log, signal: new AbortController().signal }),
  { log },
);
beforeAll(async () => {
  await server.started();
  await writeData("pg_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n");
  await writeCertificate(authority.issue());
  await reload("alter system set ssl = on");
  await eventually(() => provision(verified(superuserUrl(login), CA), plan).then(() => true));
});
afterAll(async () => {
  await server.stop();
  release();
  for (const used of [folder, authority.folder, other.folder]) await rm(used, { recursive: true, force: true });
});

async function writeData(name: string, content: string): Promise<void> {
  const data = join(folder, "data");
  const { uid, gid } = await stat(data);
  await writeFile(join(data, name), content, { mode: 0o600 });
  await chown(join(data, name), uid, gid);
}

async function writeCertificate({ cert, key }: IssuedCertificate): Promise<void> {
  await writeData("server.crt", cert);
  await writeData("server.key", key);
}

/** Runs a statement, if there is one, and makes the server read its files again. */
async function reload(statement = "select"): Promise<void> {
  const admin = new pg.Client({ connectionString: superuserUrl(login), ssl: isTls ? { ca: authority.ca } : false });
  isTls = true;
  await admin.connect();
  await admin.query(statement);
  await admin.query("select pg_reload_conf()");
  await admin.end();
}
let isTls = false;

/** The URL with the parameters that the README recommends. */
function verified(address: string, ca: string): string {
  const secure = new URL(address);
  secure.searchParams.set("sslmode", "verify-full");
  secure.searchParams.set("sslrootcert", ca);
  return secure.href;
}

it("is reached by provision and processes that verify its certificate", async () => {
  // Again, so that the passwords of roles that exist are tried over TLS too.
  await provision(verified(superuserUrl(login), CA), plan);
  const database = openDatabase<{ pg_stat_ssl: { pid: number; ssl: boolean } }>({
    url: verified(url, CA),
    schema: "auth",
    applicationName: "tls",
  });
  await database.requireProvisioned();
  const isEncrypted = await database.within({}, (tx) =>
    tx
      .selectFrom("pg_stat_ssl")
      .select("ssl")
      .where(({ eb, fn }) => eb("pid", "=", fn<number>("pg_backend_pid", [])))
      .execute(),
  );
  expect(isEncrypted).toEqual([{ ssl: true }]);
  await database.stop();
});

/** Connection strings that the server refuses, or that refuse its certificate, each with the text in the log. */
const REFUSED: readonly [what: string, url: string, log: RegExp][] = [
  ["the lack of TLS", url, /no pg_hba.conf entry .*no encryption/],
  ["an authority that is not trusted", verified(url, other.caFile), /no trusted authority has signed/],
  ["the certificate of another host", verified(url.replace("127.0.0.1", "127.1"), CA), /is for another host/],
  ["a file that is missing", verified(url, "/nowhere/ca.crt"), /\/nowhere\/ca.crt cannot be read \(ENOENT\)/],
  ["a wrong password", verified(url.replace("of-the-role", "wrong"), CA), /password authentication failed/],
  ["an unknown role", verified(url.replace("routeplane_auth", "nobody"), CA), /password authentication failed/],
  ["an unknown database", verified(url.replace("/secure", "/none"), CA), /database .*none.* does not exist/],
];

it.each(REFUSED)(
  "for %s, processes answer UNAVAILABLE, and a line of their log names the variable",
  async (_, at, says) => {
    await expectRefused(at, says);
  },
);

it("for an expired certificate, processes answer UNAVAILABLE, and a line of their log names the variable", async () => {
  await writeCertificate(authority.issue({ validUntil: new Date(Date.now() - 60_000) }));
  await reload();
  await eventually(async () => {
    await expectRefused(verified(url, CA), /certificate has expired/);
    return true;
  });
});

/** Expects that callers get an error without a cause, that one line of the log names the cause and the variable, and no secret. */
async function expectRefused(at: string, says: RegExp): Promise<void> {
  const database = openDatabase({ url: at, schema: "auth", applicationName: "tls", poolSize: 1 });
  const lines: string[] = [];
  const logger = createLogger("test", (line) => (lines.push(line), ""));
  const condition = setSchemaCondition(database, new Readiness(), logger);
  try {
    // More calls at once than connections: the pool itself connects for waiting ones.
    const calls = Array.from({ length: 4 }, () => database.within({}, (tx) => sql`select 1`.execute(tx)));
    for (const call of await Promise.allSettled(calls))
      expect(call).toMatchObject({
        status: "rejected",
        reason: { code: "unavailable", message: "the service cannot connect to its database; try again later" },
      });
    expect(await database.isReachable()).toBe(false);
    // A password may be in rotation, and a certificate is renewed: the process waits.
    await database.requireProvisioned();
    await eventually(() => lines.length > 0);
  } finally {
    await condition.stop();
    await database.stop();
  }
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(says);
  expect(lines[0]).toContain("see ROUTEPLANE_DATABASE_URL");
  expect(lines[0]).not.toMatch(/of-the-role|wrong/);
}
