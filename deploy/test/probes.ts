import { once } from "node:events";
import { connect } from "node:net";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import type { IProbe } from "kubernetes-models/v1";

/** Runs a probe once, as the kubelet does, but on `port` of this machine instead of the port that it names. */
export async function passes(probe: IProbe | undefined, port: number): Promise<boolean> {
  const timeoutMs = (probe?.timeoutSeconds ?? 1) * 1_000;
  try {
    if (probe?.grpc) return await isServing(probe.grpc.service ?? "", port, timeoutMs);
    if (probe?.httpGet) return await answersOk(probe.httpGet.path ?? "/", port, timeoutMs);
    if (probe?.tcpSocket) return await accepts(port, timeoutMs);
  } catch {
    return false;
  }
  throw new Error("the type of the probe is not supported");
}

async function isServing(service: string, port: number, timeoutMs: number): Promise<boolean> {
  const transport = createGrpcTransport({
    baseUrl: `http://127.0.0.1:${port}`,
    defaultTimeoutMs: timeoutMs,
    idleConnectionTimeoutMs: 100,
  });
  const { status } = await createClient(Health, transport).check({ service });
  return status === Status.SERVING;
}

async function answersOk(path: string, port: number, timeoutMs: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(timeoutMs) });
  await response.arrayBuffer();
  return response.ok;
}

async function accepts(port: number, timeoutMs: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(timeoutMs) });
    return true;
  } finally {
    socket.destroy();
  }
}
