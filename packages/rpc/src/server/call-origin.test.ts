import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { KeyService } from "@routeplane/contracts/auth";
import { newId } from "@routeplane/domain";
import { createLogger, currentOrigin, currentRequestId, type Origin } from "@routeplane/runtime";
import { connectGrpc, SERVING } from "@routeplane/testing";
import { afterAll, describe, expect, it } from "vitest";
import { CLIENT_ADDRESS, RELAY_CREDENTIAL } from "../headers.ts";
import { rpcChain } from "./chain.ts";
import { startGrpcServer } from "./grpc-server.ts";
import { mount } from "./hot-methods.ts";
import { startRpcServer } from "./server.ts";

/** Origin of a call, as the audit log of a service records it: request id and client address. */

const GATEWAY = "rps_the-gateways";
const FRESH = /^[0-9a-f-]{36}$/;

const chain = rpcChain({
  log: createLogger("test", () => "", "debug"),
  serviceCredentials: { callerOf: (token) => (token === GATEWAY ? "gateway" : undefined) },
  verifyToken: async () => {
    const ids = { keyId: newId("key"), namespaceId: newId("ns"), accountId: newId("acc") };
    return { kind: "key", ...ids, scopes: ["keys:*"], lineage: [], expiresAt: undefined };
  },
});
const implementation = {
  mintKey() {
    // Calls that a handler makes carry it.
    expect(currentRequestId()).toBe(currentOrigin()?.requestId);
    return { token: JSON.stringify(currentOrigin()) };
  },
};
const address = { host: "127.0.0.1", port: 0 };
const server = await startRpcServer({
  ...address,
  ...chain,
  routes: (router) => router.service(KeyService, implementation),
});
const services = [mount(KeyService, implementation)];
const grpcServer = await startGrpcServer({ ...address, ...chain, services, ...SERVING });
const grpcClient = connectGrpc(`127.0.0.1:${grpcServer.port}`);
afterAll(async () => {
  grpcClient.close();
  await server.stop();
  await grpcServer.stop();
});

type Headers = Record<string, string>;
const url = `http://127.0.0.1:${server.port}`;
const over = (transport: ReturnType<typeof createConnectTransport>) => async (headers: Headers) =>
  (await createClient(KeyService, transport).mintKey({ name: "x", scopes: ["keys:read"] }, { headers })).token;

const protocols: [string, (headers: Headers) => Promise<string>][] = [
  ["Connect", over(createConnectTransport({ baseUrl: url, httpVersion: "2" }))],
  ["gRPC on the Connect server", over(createGrpcTransport({ baseUrl: url }))],
  [
    "gRPC on grpc-js",
    async ({ authorization = "", ...metadata }) => {
      const call = { token: authorization.replace("Bearer ", ""), metadata };
      return (await grpcClient.call(KeyService.method.mintKey, { name: "x", scopes: ["keys:read"] }, call)).token;
    },
  ],
];

describe.each(protocols)("a call over %s", (_protocol, call) => {
  const originOf = async (headers: Headers) =>
    JSON.parse(await call({ authorization: "Bearer rp_a-key", ...headers })) as Origin;
  const claims = { "x-request-id": "forged", [CLIENT_ADDRESS]: "192.0.2.7" };

  it("of a client has the address of the connection and a new request id, whatever its headers say", async () => {
    for (const headers of [
      {},
      claims,
      { ...claims, [RELAY_CREDENTIAL]: "rps_another" },
      { ...claims, [RELAY_CREDENTIAL]: "" },
      { ...claims, [RELAY_CREDENTIAL]: "rp_a-key" },
      { ...claims, "x-forwarded-for": "192.0.2.7", forwarded: "for=192.0.2.7", "x-real-ip": "192.0.2.7" },
    ]) {
      const origin = await originOf(headers);
      expect(origin).toMatchObject({ actorType: "api_key", address: "127.0.0.1" });
      expect(origin.requestId).toMatch(FRESH);
    }
  });

  it("that the gateway relays has the address and the request id of the gateway's headers", async () => {
    const relayed = { ...claims, [RELAY_CREDENTIAL]: GATEWAY };
    expect(await originOf(relayed)).toMatchObject({
      actorType: "api_key",
      requestId: "forged",
      address: "192.0.2.7",
    });
    expect(await originOf({ ...relayed, [CLIENT_ADDRESS]: "2001:db8::1" })).toMatchObject({ address: "2001:db8::1" });
  });

  it("ignores an invalid request id or address, even from the gateway", async () => {
    for (const sent of ["", "a b", "x".repeat(65), "<script>", "req_1;drop", "%C3%A4"]) {
      const { requestId } = await originOf({ "x-request-id": sent, [RELAY_CREDENTIAL]: GATEWAY });
      expect(requestId).toMatch(FRESH);
    }
    for (const sent of ["somewhere", "192.0.2.7:80", "1".repeat(5000), `fe80::1%${"x".repeat(100)}`, "' or 1=1"]) {
      expect(await originOf({ [CLIENT_ADDRESS]: sent, [RELAY_CREDENTIAL]: GATEWAY })).toMatchObject({ address: "" });
    }
  });
});
