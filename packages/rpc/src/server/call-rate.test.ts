import { once } from "node:events";
import { text } from "node:stream/consumers";
import type { ConnectRouter } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { expect, it } from "vitest";
import { ServiceConnection } from "../client/service-connection.ts";
import type { KeyPrincipal, Principal } from "../principal.ts";
import { CALL_RATE, CallRate } from "./call-rate.ts";
import { rpcChain } from "./chain.ts";
import { startRpcServer } from "./server.ts";

const key = (...scopes: string[]): KeyPrincipal => ({
  kind: "key",
  keyId: newId("key"),
  namespaceId: newId("ns"),
  accountId: newId("acc"),
  scopes,
  lineage: [],
  expiresAt: undefined,
});

function refused(rate: CallRate, principal: Principal, calls: number): number {
  let count = 0;
  for (let call = 0; call < calls; call++) {
    try {
      rate.take(principal);
    } catch (error) {
      expect(error).toBeInstanceOf(DomainError);
      expect(error).toMatchObject({ reason: "RATE_LIMITED", metadata: { retry_after: "1" } });
      count++;
    }
  }
  return count;
}

it("admits a burst and then the sustained rate of each credential, independent of the others", () => {
  let now = 0;
  const rate = new CallRate(() => now);
  const [calling, other] = [key(), key()];
  expect(refused(rate, calling, CALL_RATE.burst)).toBe(0);
  expect(refused(rate, calling, 10)).toBe(10);
  expect(refused(rate, other, CALL_RATE.burst)).toBe(0);
  now += 500;
  expect(refused(rate, calling, CALL_RATE.perSecond)).toBe(CALL_RATE.perSecond / 2);
  now += 3_600_000;
  expect(refused(rate, calling, CALL_RATE.burst + 7)).toBe(7);
});

it("does not count calls of services", () => {
  const rate = new CallRate(() => 0);
  expect(refused(rate, { kind: "internal", caller: "gateway" }, CALL_RATE.burst * 3)).toBe(0);
});

it("refuses a call beyond the rate with 429 and Retry-After before any of its body is read", async () => {
  const caller = key("keys:write");
  const chain = rpcChain({
    log: createLogger("test", (line) => line, "silent"),
    serviceCredentials: { callerOf: () => undefined },
    verifyToken: async () => caller,
    monotonic: () => 0,
  });
  const routes = ({ service }: ConnectRouter): void => {
    service(KeyService, { mintKey: () => ({ token: "minted" }) });
  };
  const server = await startRpcServer({ host: "127.0.0.1", port: 0, ...chain, routes });
  const connection = new ServiceConnection({ url: `http://127.0.0.1:${server.port}` });
  const headers = { "content-type": "application/json", authorization: "Bearer rp_x" };
  const call = async (body: string | undefined) => {
    const stream = await connection.request("POST", `/${KeyService.typeName}/MintKey`, headers);
    if (body !== undefined) stream.end(body);
    const [head] = (await once(stream, "response")) as [Record<string, unknown>];
    return { head, body: await text(stream) };
  };
  const statuses = new Set<unknown>();
  for (let count = 0; count < CALL_RATE.burst; count++) {
    statuses.add((await call(JSON.stringify({ name: "a", scopes: ["keys:read"] }))).head[":status"]);
  }
  expect([...statuses]).toEqual([200]);
  const { head, body } = await call(undefined);
  expect(head).toMatchObject({ ":status": 429, "retry-after": "1" });
  expect(JSON.parse(body)).toMatchObject({ code: "resource_exhausted", message: expect.stringContaining("try again") });
  connection.stop();
  await server.stop();
}, 60_000);
