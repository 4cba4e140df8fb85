import { startGrpcServer } from "@routeplane/rpc/server";
import { type ServiceError, status } from "@grpc/grpc-js";
import { VerificationService } from "@routeplane/contracts/auth";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@routeplane/contracts/health";
import { mintToken } from "@routeplane/credentials";
import { openDatabase } from "@routeplane/postgres";
import { connectGrpc, eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, expect, it } from "vitest";
import type { AuthSchema } from "../src/store/schema.ts";
import { POLICY_TOKEN, GATEWAY_TOKEN, startAuthUnderTest } from "./auth-under-test.ts";

const auth = await startAuthUnderTest();
const server = await startGrpcServer({ ...auth.wired, host: "127.0.0.1", port: 0 });
const client = connectGrpc(`127.0.0.1:${server.port}`);
afterAll(async () => {
  client.close();
  await server.stop();
  await auth.stop();
});

const { verifyKey, resolveKey } = VerificationService.method;
const service = { token: GATEWAY_TOKEN };

it("verifies a key over plain gRPC with the same response as over Connect", async () => {
  const root = await auth.rootKey();
  const child = await auth.as(root.token).keys.mintKey({ name: "child", scopes: ["inference:invoke"] });
  for (const token of [root.token, child.token, auth.operatorToken, mintToken("key"), "junk"]) {
    const { outcome } = await auth.as(GATEWAY_TOKEN).verification.verifyKey({ token });
    expect((await client.call(verifyKey, { token }, service)).outcome).toEqual(outcome);
  }
  const named = { namespaceId: auth.namespaceId, keyId: child.key?.id ?? "" };
  expect(await client.call(resolveKey, named, { token: POLICY_TOKEN })).toMatchObject({
    lineage: [root.id, child.key?.id],
  });
});

it("returns the refusal of a revoked key as data, at once", async () => {
  const root = await auth.rootKey();
  expect((await client.call(verifyKey, { token: root.token }, service)).outcome.case).toBe("key");
  await auth.as(root.token).keys.revokeKey({ id: root.id });
  expect((await client.call(verifyKey, { token: root.token }, service)).outcome).toMatchObject({
    case: "refusal",
    value: { message: expect.stringContaining("revoked") },
  });
});

it("verifies only for the services of the node", async () => {
  const { token } = await auth.rootKey();
  const codeOf = (options: object) =>
    client.call(verifyKey, { token }, options).catch(({ code }: ServiceError) => code as unknown);
  expect(await codeOf({})).toBe(status.UNAUTHENTICATED);
  expect(await codeOf({ token: "rps_another" })).toBe(status.UNAUTHENTICATED);
  expect(await codeOf({ token })).toBe(status.PERMISSION_DENIED);
  expect(await codeOf({ token: auth.operatorToken })).toBe(status.PERMISSION_DENIED);
});

it("reports SERVING", async () => {
  expect((await client.call(Health.method.check, {})).status).toBe(Status.SERVING);
});

it("completes verifications that wait for Postgres while it stops", async () => {
  const tokens = (await Promise.all(Array.from({ length: 5 }, () => auth.rootKey()))).map(({ token }) => token);
  const stopping = await startGrpcServer({ ...auth.wired, host: "127.0.0.1", port: 0 });
  const caller = connectGrpc(`127.0.0.1:${stopping.port}`);
  const admin = openDatabase<AuthSchema>({ url: auth.adminUrl, schema: "auth", applicationName: "locker" });
  const { waiting, stopped } = await admin.within({}, async (tx) => {
    await sql`lock table key_secrets in access exclusive mode`.execute(tx);
    const calls = tokens.map((token) => caller.call(verifyKey, { token }, service));
    await eventually(async () => {
      const { rows } = await sql<{ count: bigint }>`
        select count(*) from pg_locks where database = (select oid from pg_database where datname = current_database())
          and relation = 'key_secrets'::regclass and not granted`.execute(tx);
      return rows[0]?.count === 5n;
    });
    return { waiting: calls, stopped: stopping.stop() };
  });
  for (const { outcome } of await Promise.all(waiting)) expect(outcome.case).toBe("key");
  await stopped;
  caller.close();
  await admin.stop();
});
