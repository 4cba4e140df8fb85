import { createClient } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { AdmissionService } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { serviceTransport } from "@routeplane/rpc";
import { connectGrpc, eventually, type GrpcClient } from "@routeplane/testing";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addressesOf, type NodeAddresses } from "../harness/addresses.ts";
import { chatBody } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type NamespaceKeys, newNamespace } from "../harness/policies.ts";

/** Tests of service credentials on a node: by a stock grpc-js client, and by Connect, at the ports of `run/addresses.json`. */

let node: TestNode;
let addresses: NodeAddresses;
let own: NamespaceKeys;
let foreign: NamespaceKeys;
/** gRPC clients of the hot methods, and of the ports that serve Connect too. */
let clients: { auth: GrpcClient; policy: GrpcClient };
/** Service credential that is bound to the namespace `own`. */
let service: { id: string; token: string };

async function mint(name: string, ...options: string[]): Promise<{ id: string; token: string }> {
  const argv = ["admin", "service-credentials", "mint", "--name", name, ...options, "--json"];
  return JSON.parse((await node.cli(argv)).stdout) as { id: string; token: string };
}

beforeAll(async () => {
  node = await startNode();
  addresses = await addressesOf(node);
  [own, foreign] = [await newNamespace(node, "own"), await newNamespace(node, "foreign")];
  clients = { auth: connectGrpc(addresses.grpc.auth), policy: connectGrpc(addresses.grpc.policy) };
  service = await mint("billing", "--scope", "keys:verify policy:admit", "--namespace", "own");
}, 120_000);
afterAll(async () => {
  clients?.auth.close();
  clients?.policy.close();
  await node?.remove();
});

const { verifyKey } = VerificationService.method;
const { admit, settle, void: voidReservation } = AdmissionService.method;
const overConnect = (address: string, token: string) =>
  serviceTransport({ url: `http://${address}`, serviceToken: token });

/** A request of the key that a token belongs to. */
async function requestOf(token: string, by = service.token) {
  const { outcome } = await clients.auth.call(verifyKey, { token }, { token: by });
  if (outcome.case !== "key") return expect.fail("is no key");
  const { namespaceId, keyId, lineage } = outcome.value;
  const price = { inputPicoUsd: 0n, outputPicoUsd: 1_000_000n };
  return { namespaceId, keyId, lineage, requestId: newId("req"), price, outputTokensMax: 10n };
}

describe("a service credential", () => {
  it("verifies keys and admits requests over grpc-js and over Connect", async () => {
    const request = await requestOf(own.root.token);
    for (const transport of ["grpc-js", "Connect"]) {
      const requestId = newId("req");
      const reservation = { ...request, requestId };
      const connect = createClient(AdmissionService, overConnect(addresses.policy, service.token));
      const admitted =
        transport === "grpc-js"
          ? await clients.policy.call(admit, reservation, service)
          : await connect.admit(reservation);
      expect(admitted.outcome.case).toBe("admission");
      await (transport === "grpc-js"
        ? clients.policy.call(settle, { ...reservation, costNanoUsd: 1n }, service)
        : connect.settle({ ...reservation, costNanoUsd: 1n }));
      await clients.policy.call(voidReservation, reservation, service);
    }
    const { verifyKey: verifyOverConnect } = createClient(
      VerificationService,
      overConnect(addresses.auth, service.token),
    );
    const ofConnect = await verifyOverConnect({ token: own.root.token });
    expect(ofConnect.outcome).toEqual((await clients.auth.call(verifyKey, { token: own.root.token }, service)).outcome);
  });

  it("learns nothing of another namespace: its keys and ids are refused like unknown ones", async () => {
    const bytesOf = async (token: string) =>
      JSON.stringify((await clients.auth.call(verifyKey, { token }, service)).outcome);
    const ofUnknown = await bytesOf("rp_junk");
    for (const token of [foreign.root.token, await node.operatorKey(), service.token])
      expect(await bytesOf(token)).toBe(ofUnknown);
    const everywhere = await mint("everywhere", "--scope", "keys:verify", "--all-namespaces");
    const victim = await requestOf(foreign.root.token, everywhere.token);
    const refused = (request: typeof victim) =>
      clients.policy.call(admit, request, service).then(
        () => expect.fail("was admitted"),
        ({ code, details }: { code: number; details: string }) => ({ code, details }),
      );
    const ofUnknownIds = await refused({ ...victim, namespaceId: newId("ns"), lineage: [newId("key")] });
    expect(ofUnknownIds.code).toBe(status.NOT_FOUND);
    expect(await refused(victim)).toEqual(ofUnknownIds);
    await expect(clients.policy.call(admit, victim, everywhere)).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining("policy:admit"),
    });
  });

  it("is refused as an API key by the gateway and the management API, which say what it is for", async () => {
    const headers = { authorization: `Bearer ${service.token}`, "content-type": "application/json" };
    for (const [path, body] of [
      ["/v1/chat/completions", chatBody("hello")],
      ["/routeplane.auth.v1.KeyService/ListKeys", {}],
    ] as const) {
      const answer = await fetch(node.url + path, { method: "POST", headers, body: JSON.stringify(body) });
      expect([answer.status, await answer.text()]).toEqual([
        401,
        expect.stringContaining("service credential (rps_…)"),
      ]);
    }
    for (const token of [own.root.token, await node.operatorKey()]) {
      await expect(clients.auth.call(verifyKey, { token }, { token })).rejects.toMatchObject({
        code: status.PERMISSION_DENIED,
        details: expect.stringContaining("service credential"),
      });
    }
  });

  it("is refused by both services at once when it is revoked, whatever they have cached", async () => {
    const { id, token } = await mint("leaked", "--scope", "keys:verify policy:admit", "--all-namespaces");
    const request = await requestOf(own.root.token, token);
    const admitOnce = () => clients.policy.call(admit, { ...request, requestId: newId("req") }, { token });
    expect((await admitOnce()).outcome.case).toBe("admission");
    await node.cli(["admin", "service-credentials", "revoke", id, "--yes"]);
    for (const call of [() => clients.auth.call(verifyKey, { token: own.root.token }, { token }), admitOnce]) {
      const code = () =>
        call().then(
          () => undefined,
          (error: { code: number }) => error.code,
        );
      expect(await eventually(code, 5_000)).toBe(status.UNAUTHENTICATED);
    }
  });
});
