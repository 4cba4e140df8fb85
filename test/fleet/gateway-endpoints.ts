import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** Endpoint of a Service: a process, by the ports of its requests and of its probes. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly operationsPort: number;
}

/**
 * Stand-in for the Service of the gateways in a cluster: one address, at which each new connection goes to one of the ready
 * endpoints, taken at random, and stays there. An endpoint is ready while `/readyz`, which is called every second, answers 200.
 */
export interface GatewayEndpoints {
  readonly url: string;
  /** Resolves once this endpoint is ready. */
  add(endpoint: Endpoint): Promise<void>;
  remove(address: string): void;
  stop(): Promise<void>;
}

const PROBE_INTERVAL_MS = 1_000;
const PROBE_TIMEOUT_MS = 1_000;

export async function startGatewayEndpoints(): Promise<GatewayEndpoints> {
  const endpoints = new Map<string, Endpoint>();
  const ready = new Set<Endpoint>();
  const stopping = new AbortController();
  const sockets = new Set<Socket>();
  const probe = async (endpoint: Endpoint): Promise<void> => {
    const { address, operationsPort } = endpoint;
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const isReady = await fetch(`http://${address}:${operationsPort}/readyz`, { signal }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady && endpoints.get(address) === endpoint) ready.add(endpoint);
    else ready.delete(endpoint);
  };
  const probeAll = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await Promise.all([...endpoints.values()].map(probe));
      await delay(PROBE_INTERVAL_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  };
  const probing = probeAll();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const chosen = [...ready][Math.floor(Math.random() * ready.size)];
    if (chosen === undefined) return void client.resetAndDestroy();
    const { address: host, port } = chosen;
    const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true });
    join(client, upstream);
    join(upstream, client);
  });
  const join = (from: Socket, to: Socket): void => {
    sockets.add(from);
    // The end of one side ends the other in the same way, as with a single connection.
    from.on("error", () => to.resetAndDestroy());
    from.on("close", () => sockets.delete(from));
    from.pipe(to);
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async add(endpoint) {
      endpoints.set(endpoint.address, endpoint);
      await probe(endpoint);
    },
    remove(address) {
      const endpoint = endpoints.get(address);
      if (endpoint === undefined) return;
      endpoints.delete(address);
      ready.delete(endpoint);
    },
    async stop() {
      stopping.abort();
      await probing;
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
