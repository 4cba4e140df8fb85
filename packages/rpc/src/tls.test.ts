import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { createLogger, readEnvironment } from "@routeplane/runtime";
import { createAuthority, eventually, type IssuedCertificate } from "@routeplane/testing";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { ServiceConnection } from "./client/service-connection.ts";
import { serviceTransport } from "./client/transport.ts";
import { rpcChain } from "./server/chain.ts";
import { startGrpcServer } from "./server/grpc-server.ts";
import { healthRoutes } from "./server/health.ts";
import { startRpcServer } from "./server/server.ts";
import { readTls } from "./tls.ts";

const authority = createAuthority();
const stranger = createAuthority();
const [first, second] = [authority.issue(), authority.issue()];
afterAll(() => {
  for (const { folder } of [authority, stranger]) rmSync(folder, { recursive: true });
});

const log = createLogger("test", () => "");
let count = 0;

/** Reads the certificates of a process from files, which it watches. */
function tlsOf(certificate: IssuedCertificate | undefined, { ca = authority.ca, clientAuth = "none" } = {}) {
  const path = join(authority.folder, `process-${count++}`);
  const write = ({ cert, key }: IssuedCertificate): void => {
    for (const [name, text] of Object.entries({ crt: cert, key })) {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, `${path}.${name}`);
    }
  };
  writeFileSync(`${path}.ca`, ca);
  if (certificate !== undefined) write(certificate);
  const variables = {
    ROUTEPLANE_TLS_CA_FILE: `${path}.ca`,
    ROUTEPLANE_TLS_CERT_FILE: certificate && `${path}.crt`,
    ROUTEPLANE_TLS_KEY_FILE: certificate && `${path}.key`,
    ROUTEPLANE_TLS_CLIENT_AUTH: clientAuth,
  };
  const { tls, secretFiles } = readEnvironment(variables, (env) => ({
    tls: readTls(env),
    secretFiles: env.secretFiles,
  }));
  const lines: string[] = [];
  const watch = secretFiles.watch(createLogger("test", (line) => (lines.push(line), "")));
  onTestFinished(() => watch.stop());
  return { tls, write, lines };
}

type Tls = ReturnType<typeof tlsOf>["tls"];

async function start(tls: Tls) {
  const verifyToken = () => Promise.reject(new Error("no method here takes a token"));
  const chain = rpcChain({ log, serviceCredentials: { callerOf: () => undefined }, verifyToken });
  const health = { readiness: { isReady: true }, dependencies: { areReachable: () => Promise.resolve(true) } };
  const options = { host: "127.0.0.1", port: 0, ...chain, tls };
  const server = await startRpcServer({ ...options, routes: healthRoutes(health) });
  const grpcServer = await startGrpcServer({ ...options, ...health, services: [] });
  onTestFinished(async () => {
    await Promise.all([server.stop(), grpcServer.stop()]);
  });
  return { url: `https://127.0.0.1:${server.port}`, port: server.port, grpcPort: grpcServer.port };
}

/** Calls over a new connection. */
async function checkOver(url: string, tls: Tls): Promise<Status> {
  const connection = new ServiceConnection({ url, tls });
  try {
    const health = createClient(Health, serviceTransport({ url, connection }));
    return (await health.check({ service: "" })).status;
  } finally {
    connection.stop();
  }
}

async function checkOverGrpc(port: number, certificates: Partial<IssuedCertificate> = {}): Promise<Status> {
  const nodeOptions = { ca: authority.ca, ...certificates };
  const transport = createGrpcTransport({
    baseUrl: `https://127.0.0.1:${port}`,
    nodeOptions,
    idleConnectionTimeoutMs: 1,
  });
  return (await createClient(Health, transport).check({ service: "" }, { timeoutMs: 5_000 })).status;
}

/** Serial number of the certificate that a server presents now. */
async function presentedBy(port: number): Promise<string> {
  const socket = connectTls({ host: "127.0.0.1", port, ca: authority.ca, ALPNProtocols: ["h2"] });
  try {
    await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
  }
}

describe("a server with a certificate", () => {
  it("serves Connect and gRPC over TLS to clients that trust its authority, and to no other", async () => {
    const { url, grpcPort } = await start(tlsOf(first).tls);
    expect(await checkOver(url, tlsOf(undefined).tls)).toBe(Status.SERVING);
    expect(await checkOverGrpc(grpcPort)).toBe(Status.SERVING);
    await expect(checkOver(url, tlsOf(undefined, { ca: stranger.ca }).tls)).rejects.toThrow();
    await expect(checkOver(url, undefined)).rejects.toThrow();
    await expect(checkOver(url.replace("https", "http"), undefined)).rejects.toThrow();
    await expect(checkOverGrpc(grpcPort, { ca: stranger.ca } as Partial<IssuedCertificate>)).rejects.toThrow();
  });

  it("refuses clients without a certificate of its authorities if it requires one", async () => {
    const { url, grpcPort } = await start(tlsOf(first, { clientAuth: "require" }).tls);
    expect(await checkOver(url, tlsOf(second).tls)).toBe(Status.SERVING);
    expect(await checkOverGrpc(grpcPort, second)).toBe(Status.SERVING);
    await expect(checkOver(url, tlsOf(undefined).tls)).rejects.toThrow();
    await expect(checkOver(url, tlsOf(stranger.issue()).tls)).rejects.toThrow();
    await expect(checkOverGrpc(grpcPort)).rejects.toThrow();
    await expect(checkOverGrpc(grpcPort, stranger.issue())).rejects.toThrow();
  });

  it("presents a new certificate once its files have changed, while open connections go on", async () => {
    const { tls, write } = tlsOf(first);
    const { url, port, grpcPort } = await start(tls);
    const connection = new ServiceConnection({ url, tls: tlsOf(undefined).tls });
    onTestFinished(() => connection.stop());
    const health = createClient(Health, serviceTransport({ url, connection }));
    const before = [await presentedBy(port), await presentedBy(grpcPort)];
    expect((await health.check({ service: "" })).status).toBe(Status.SERVING);
    write(second);
    await eventually(
      async () => (await presentedBy(port)) !== before[0] && (await presentedBy(grpcPort)) !== before[1],
    );
    expect((await health.check({ service: "" })).status).toBe(Status.SERVING);
    expect(await checkOverGrpc(grpcPort)).toBe(Status.SERVING);
  });

  it.each(["server", "client"] as const)(
    "is unavailable while the certificate of the %s has expired, and is reached again once that is replaced",
    async (expired) => {
      const past = authority.issue({ validUntil: new Date(Date.now() - 60_000) });
      const ofServer = tlsOf(expired === "server" ? past : first, { clientAuth: "require" });
      const ofClient = tlsOf(expired === "client" ? past : second);
      const { url } = await start(ofServer.tls);
      const connection = new ServiceConnection({ url, tls: ofClient.tls, log });
      onTestFinished(() => connection.stop());
      const health = createClient(Health, serviceTransport({ url, connection }));
      await expect(health.check({ service: "" })).rejects.toMatchObject({ code: Code.Unavailable });
      (expired === "server" ? ofServer : ofClient).write(authority.issue());
      await eventually(async () => (await health.check({ service: "" })).status === Status.SERVING);
    },
  );

  it("keeps its certificate while the key in the files belongs to another one", async () => {
    const { tls, write, lines } = tlsOf(first);
    const { port } = await start(tls);
    const before = await presentedBy(port);
    write({ cert: second.cert, key: first.key });
    await eventually(async () => lines.join("").includes("the private key that belongs to it"));
    expect(await presentedBy(port)).toBe(before);
    expect(lines.join("")).not.toMatch(/BEGIN/);
    write(second);
    await eventually(async () => (await presentedBy(port)) !== before);
  });
});

describe("the certificates of the environment", () => {
  const read = (variables: Record<string, string>) => () =>
    readEnvironment(variables, (env) => ({ tls: readTls(env) })).tls;
  const { cert, key } = first;

  it.each([
    ["a certificate without a key", { ROUTEPLANE_TLS_CERT: cert }, /belong together/],
    [
      "a key of another certificate",
      { ROUTEPLANE_TLS_CERT: cert, ROUTEPLANE_TLS_KEY: second.key },
      /TLS_KEY: must hold/,
    ],
    ["authorities that are no certificates", { ROUTEPLANE_TLS_CA: "canary" }, /must hold certificates in PEM/],
    ["client certificates without authorities", { ROUTEPLANE_TLS_CLIENT_AUTH: "require" }, /authorities are required/],
    ["an unknown switch", { ROUTEPLANE_TLS_CLIENT_AUTH: "maybe" }, /none or require/],
  ])("are a fault if they are %s", (_, variables, message) => {
    expect(read(variables as Record<string, string>)).toThrow(message);
    expect(read(variables as Record<string, string>)).not.toThrow(/canary|PRIVATE/);
  });

  it("are undefined if no variable is set", () => {
    expect(read({})()).toBeUndefined();
    expect(read({ ROUTEPLANE_TLS_CERT: cert, ROUTEPLANE_TLS_KEY: key })()).toBeDefined();
  });
});
