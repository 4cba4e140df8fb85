import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { buildConnector } from "undici";
import { UpstreamFault, type UpstreamFaultKind } from "../domain/ports/upstream.ts";

/** HTTP proxy on the way to an upstream. */
export interface Proxy {
  /** Origin of the proxy, without credentials. */
  readonly origin: URL;
  /** Value of `Proxy-Authorization`; undefined for a proxy without credentials. */
  readonly authorization: string | undefined;
}

/** Headers for the proxy itself, which it does not pass on to the upstream. */
export function proxyHeaders({ authorization }: Proxy): Readonly<Record<string, string>> {
  return authorization === undefined ? {} : { "proxy-authorization": authorization };
}

/**
 * Connector through a proxy: asks it for a tunnel to the upstream, and speaks TLS with the upstream through that. Nothing of a
 * request is sent before the tunnel is open.
 */
export function tunnelThrough(proxy: Proxy, timeoutMs: number): buildConnector.connector {
  const connectTls = buildConnector({ timeout: timeoutMs, allowH2: false });
  return (options, callback) => {
    openTunnel(proxy, `${options.hostname}:${options.port || "443"}`, timeoutMs, (fault, httpSocket) => {
      if (httpSocket === null) callback(fault, null);
      else connectTls({ ...options, httpSocket }, callback);
    });
  };
}

/** @param onEnd called once: with the tunnel, or with an UpstreamFault if the proxy cannot be reached, refuses or is late */
function openTunnel(proxy: Proxy, authority: string, timeoutMs: number, onEnd: buildConnector.Callback): void {
  const { protocol, hostname, port } = proxy.origin;
  const send = protocol === "https:" ? httpsRequest : httpRequest;
  const asked = send({
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port || undefined,
    method: "CONNECT",
    path: authority,
    headers: { host: authority, ...proxyHeaders(proxy) },
    agent: false,
  });
  let isOver = false;
  const end = (...result: Parameters<buildConnector.Callback>): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(late);
    if (result[1] === null) asked.destroy();
    onEnd(...result);
  };
  const fail = (kind: UpstreamFaultKind, message: string, cause?: unknown): void =>
    end(new UpstreamFault(kind, message, cause), null);
  const late = setTimeout(() => fail("connect_timeout", "the proxy opened no tunnel in time"), timeoutMs);
  const refuse = (status: number | undefined): void =>
    fail("unreachable", `the proxy refused a tunnel with HTTP status ${status}`);
  asked.on("error", (error) => fail("unreachable", "the proxy cannot be reached", error));
  asked.once("response", ({ statusCode }) => refuse(statusCode));
  asked.once("connect", ({ statusCode = 0 }, socket) => {
    if (statusCode >= 200 && statusCode <= 299) return end(null, socket);
    socket.on("error", () => {}).destroy();
    refuse(statusCode);
  });
  asked.end();
}
