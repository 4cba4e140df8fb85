import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createClient } from "@connectrpc/connect";
import { KeyService, VerificationService } from "@routeplane/contracts/auth";
import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { onTestFinished } from "vitest";
import { rpcChain } from "../server/chain.ts";
import { startRpcServer } from "../server/server.ts";
import { ServiceConnection } from "./service-connection.ts";
import { serviceTransport } from "./transport.ts";

const SERVICE_TOKEN = "rps_of-the-gateway";

/** A process of a service at an address of its own, behind a relay that can be suspended or disconnected. */
export interface Replica {
  readonly address: string;
  /** Calls that the process was given. */
  readonly calls: string[];
  /** Watches that run on it. */
  watches: number;
  /** True while it does not know the service credential, like a process whose list of callers is out of date. */
  refusesCaller: boolean;
  /** Passes no more bytes, like a process that is suspended: connections are accepted and kept. */
  freeze(): void;
  /** Calls on connections that it accepted while it was suspended. */
  readonly ignoredCalls: () => number;
  /** Ends all connections and accepts none, like a process that is killed. */
  kill(): Promise<void>;
}

interface ReplicaOptions {
  readonly address: string;
  /** Port of all replicas; 0: any free one. */
  readonly port: number;
  readonly maxSessionAgeMs?: number;
  /** Called for each verification; rejects to fail it. */
  readonly verify?: (token: string) => Promise<void>;
}

export async function startReplica({ address, port, maxSessionAgeMs, verify }: ReplicaOptions) {
  const state = { calls: [] as string[], watches: 0, refusesCaller: false };
  const knows = (token: string): boolean => token === SERVICE_TOKEN && !state.refusesCaller;
  const chain = rpcChain({
    log: createLogger("test", (line) => line, "silent"),
    serviceCredentials: { callerOf: (token) => (knows(token) ? "gateway" : undefined) },
    async verifyToken(token) {
      if (token === SERVICE_TOKEN) throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key");
      const ids = { keyId: newId("key"), namespaceId: newId("ns"), accountId: newId("acc") };
      return { kind: "key", ...ids, scopes: ["keys:write"], lineage: [], expiresAt: undefined };
    },
  });
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    ...chain,
    ...(maxSessionAgeMs !== undefined && { maxSessionAgeMs }),
    routes: ({ service }) => {
      service(VerificationService, {
        async verifyKey({ token }) {
          state.calls.push(token);
          await verify?.(token);
          return {};
        },
        async *watchChanges(_, { signal }) {
          state.watches++;
          try {
            yield { sequence: 1n };
            await once(signal, "abort").catch(() => {});
          } finally {
            state.watches--;
          }
        },
      });
      service(KeyService, { mintKey: ({ name }) => (state.calls.push(name), {}) });
    },
  });
  const relay = await startRelay(address, port, server.port);
  onTestFinished(async () => {
    await relay.kill();
    await server.stop();
  });
  const { freeze, kill, ignoredCalls } = relay;
  return { replica: Object.assign(state, { address, freeze, kill, ignoredCalls }), port: relay.port };
}

async function startRelay(address: string, port: number, target: number) {
  const sockets = new Set<Socket>();
  const ignored: (() => Buffer)[] = [];
  let isFrozen = false;
  const relay: Server = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket.setNoDelay());
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    if (isFrozen) {
      const chunks: Buffer[] = [];
      client.on("data", (chunk: Buffer) => chunks.push(chunk));
      return void ignored.push(() => Buffer.concat(chunks));
    }
    client.pipe(upstream);
    upstream.pipe(client);
  });
  relay.listen(port, address);
  await once(relay, "listening");
  return {
    port: (relay.address() as AddressInfo).port,
    freeze: (): void => {
      isFrozen = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    ignoredCalls: () => ignored.reduce((sum, bytes) => sum + callsIn(bytes()), 0),
    kill: async (): Promise<void> => {
      const closed = relay.listening ? once(relay, "close") : undefined;
      relay.close();
      for (const socket of sockets) socket.resetAndDestroy();
      await closed;
    },
  };
}

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const HEADERS_FRAME = 1;

/** Counts the calls in the bytes from an HTTP/2 client: each begins with a HEADERS frame. */
function callsIn(bytes: Buffer): number {
  let calls = 0;
  for (let at = PREFACE_BYTES; at + FRAME_HEAD_BYTES <= bytes.length;) {
    if (bytes[at + 3] === HEADERS_FRAME) calls++;
    at += FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
  }
  return calls;
}

/** Starts replicas at 127.0.0.1 and the addresses after it, and a connection to the name that resolves to `listed`. */
export async function startService(count: number, options: Omit<ReplicaOptions, "address" | "port"> = {}) {
  const replicas: Replica[] = [];
  let port = 0;
  const add = async (): Promise<Replica> => {
    const started = await startReplica({ address: `127.0.0.${replicas.length + 1}`, port, ...options });
    port = started.port;
    replicas.push(started.replica);
    return started.replica;
  };
  for (let index = 0; index < count; index++) await add();
  const dns: { listed: readonly string[] | Error } = { listed: replicas.map(({ address }) => address) };
  const resolve = async (): Promise<readonly string[]> => {
    if (dns.listed instanceof Error) throw dns.listed;
    return dns.listed;
  };
  const connection = new ServiceConnection({ url: `http://service.test:${port}`, resolve });
  onTestFinished(() => connection.stop());
  const transport = serviceTransport({ url: connection.authority, serviceToken: SERVICE_TOKEN, connection });
  const verification = createClient(VerificationService, transport);
  const verify = (token = "a"): Promise<unknown> => verification.verifyKey({ token });
  /** Makes calls until `isDone` holds, four at a time. @returns the errors, and the slowest call */
  const load = async (isDone: (calls: number) => boolean) => {
    const errors: unknown[] = [];
    let [calls, slowestMs] = [0, 0];
    const work = async (): Promise<void> => {
      while (!isDone(calls++)) {
        const startedAt = performance.now();
        await verify().catch((error: unknown) => errors.push(error));
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      }
    };
    await Promise.all(Array.from({ length: 4 }, work));
    return { errors, slowestMs };
  };
  const allUsed = async (): Promise<void> => {
    await eventually(async () => {
      await verify();
      return replicas.every(({ calls }) => calls.length > 0);
    });
    for (const { calls } of replicas) calls.length = 0;
  };
  return { replicas, port, add, dns, connection, transport, verification, verify, load, allUsed };
}
