import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reservePorts } from "@routeplane/standalone";
import { cloneDatabase, createAuthority, type IssuedCertificate, eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bundle } from "../bundle.ts";
import { type RunningRole, runToExit, startRole } from "./role-process.ts";

/** Tests of the role `bootstrap` with an auth service that requires client certificates; every secret is in a file. */
const authority = createAuthority();
const folder = await mkdtemp(join(tmpdir(), "routeplane-bootstrap-"));
const [database, { entry }, { ports, release }] = await Promise.all([cloneDatabase(), bundle(folder), reservePorts(2)]);
const [port = 0, operationsPort = 0] = ports;
const INSTALLER = "rps_of-installer";
let auth: RunningRole;

beforeAll(async () => {
  auth = startRole(entry, "auth", {
    ...(await tlsFiles("auth", authority.issue())),
    ROUTEPLANE_TLS_CLIENT_AUTH: "require",
    ROUTEPLANE_PORT: `${port}`,
    ROUTEPLANE_GRPC_PORT: "0",
    ROUTEPLANE_OPERATIONS_PORT: `${operationsPort}`,
    ROUTEPLANE_POLICY_URL: "https://127.0.0.1:1",
    ROUTEPLANE_DATABASE_URL: database.url("routeplane_auth"),
    ROUTEPLANE_SERVICE_CREDENTIALS: `installer:${createHash("sha256").update(INSTALLER).digest("hex")}`,
    ROUTEPLANE_KEY_PEPPERS: `p1:${"0f".repeat(32)}`,
  });
});
afterAll(async () => {
  await auth.stop();
  release();
  await Promise.all([database.drop(), ...[folder, authority.folder].map((used) => rm(used, { recursive: true }))]);
});

/** Writes a certificate, and returns the variables that name its files and the authority's. */
async function tlsFiles(name: string, certificate?: IssuedCertificate): Promise<Record<string, string>> {
  const variables: Record<string, string> = { ROUTEPLANE_TLS_CA_FILE: authority.caFile };
  for (const [suffix, variable] of [
    ["cert", "ROUTEPLANE_TLS_CERT_FILE"],
    ["key", "ROUTEPLANE_TLS_KEY_FILE"],
  ] as const) {
    if (certificate === undefined) continue;
    variables[variable] = join(folder, `${name}.${suffix}`);
    await writeFile(variables[variable], certificate[suffix], { mode: 0o600 });
  }
  return variables;
}

async function bootstrap(variables: Readonly<Record<string, string>>) {
  const serviceToken = join(folder, "installer.token");
  await writeFile(serviceToken, `${INSTALLER}\n`, { mode: 0o600 });
  return runToExit(entry, "bootstrap", {
    ROUTEPLANE_AUTH_URL: `https://127.0.0.1:${port}`,
    ROUTEPLANE_SERVICE_TOKEN_FILE: serviceToken,
    ROUTEPLANE_OPERATOR_TOKEN_FILE: join(folder, "operator-token"),
    ...variables,
  });
}

it("sets a node up once over mutual TLS, however many Jobs run at once, also before auth has started", async () => {
  const tls = await tlsFiles("installer", authority.issue());
  const exits = await Promise.all([bootstrap(tls), bootstrap(tls), bootstrap(tls)]);
  for (const { code, stderr } of exits) expect(code, stderr).toBe(0);
  const lines = new Set(exits.map(({ stdout }) => stdout));
  expect([...lines]).toEqual([expect.stringMatching(/^the node is set up \(acc_\w+, ns_\w+\); .* is in /)]);
  const token = (await readFile(join(folder, "operator-token"), "utf8")).trim();
  for (const { stdout, stderr } of exits) expect(stdout + stderr).not.toContain(token);

  const again = await bootstrap(tls);
  expect([again.code, again.stdout]).toEqual([0, [...lines][0]]);
  const { code, stderr } = await bootstrap({ ...tls, ROUTEPLANE_OPERATOR_TOKEN_FILE: join(folder, "another-token") });
  expect([code, stderr]).toEqual([1, expect.stringContaining("set up with another operator credential")]);
});

it("ends with the reason if TLS fails, and prints no secret", async () => {
  await eventually(async () => (await bootstrap(await tlsFiles("installer", authority.issue()))).code === 0);
  const stranger = createAuthority();
  const trusted = await tlsFiles("stranger", stranger.issue());
  const faults: readonly [Record<string, string>, RegExp][] = [
    [await tlsFiles("none"), /\[unavailable\] tlsv13 alert certificate required/],
    [trusted, /the connection was closed|alert unknown ca|ECONNRESET/],
    [{ ...trusted, ROUTEPLANE_TLS_CA_FILE: stranger.caFile }, /unable to verify the first certificate|self.signed/],
    [{ ...trusted, ROUTEPLANE_AUTH_URL: `http://127.0.0.1:${port}` }, /closed|ECONNRESET|hang up/],
  ];
  for (const [variables, says] of faults) {
    const { code, stderr } = await bootstrap({ ...variables, ROUTEPLANE_BOOTSTRAP_WAIT_SECS: "1" });
    expect(stderr).not.toContain(INSTALLER);
    expect([code, stderr]).toEqual([1, expect.stringMatching(says)]);
  }
  await rm(stranger.folder, { recursive: true });
});
