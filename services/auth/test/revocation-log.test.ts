import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { authorized } from "@routeplane/testing";
import { createRouterTransport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, POLICY_TOKEN, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

function asPolicy() {
  const { routes, interceptors } = auth.wired;
  return createClient(
    VerificationService,
    authorized(createRouterTransport(routes, { router: { interceptors } }), POLICY_TOKEN),
  );
}

async function listedKeys(): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let after = { afterNamespaceId: "", afterKeyId: "" }; ;) {
    const { keys } = await asPolicy().listRevokedKeys(after);
    const last = keys.at(-1);
    if (last === undefined) return ids;
    ids.push(...keys.map(({ keyId }) => keyId));
    after = { afterNamespaceId: last.namespaceId, afterKeyId: last.keyId };
  }
}

it("resolves a key with its lineage and the earliest expiry in it, absent without one", async () => {
  const root = await auth.rootKey();
  const [early, late] = [Date.now() + 3_600_000, Date.now() + 7_200_000];
  const sub = await auth.subKey(root.token, undefined, late);
  const below = await auth.subKey(sub.token, undefined, early);
  const resolve = ({ id }: { id: string }) => asPolicy().resolveKey({ namespaceId: auth.namespaceId, keyId: id });
  const unlimited = await resolve(root);
  expect([unlimited.lineage, unlimited.revoked, unlimited.expiresAt]).toEqual([[root.id], false, undefined]);
  const resolved = await resolve(below);
  expect(resolved.lineage).toEqual([root.id, sub.id, below.id]);
  expect(resolved.expiresAt && timestampMs(resolved.expiresAt)).toBe(early);
});

describe("a revocation", () => {
  it("is listed from its transaction on, with its time and actor, until it is acknowledged; the keys below are not", async () => {
    const root = await auth.rootKey();
    const sub = await auth.subKey(root.token);
    const below = await auth.subKey(sub.token);
    expect(await listedKeys()).not.toContain(sub.id);
    const { key } = await auth.as(root.token).keys.revokeKey({ id: sub.id });
    const { keys } = await asPolicy().listRevokedKeys({});
    const listed = keys.find(({ keyId }) => keyId === sub.id);
    expect(listed).toMatchObject({ namespaceId: auth.namespaceId, actorType: "api_key", actorId: root.id });
    expect(listed?.revokedAt).toEqual(key?.revokedAt);
    expect(listed?.requestId).not.toBe("");
    expect(await listedKeys()).not.toContain(below.id);
    await auth.as(root.token).keys.revokeKey({ id: sub.id });
    expect((await listedKeys()).filter((id) => id === sub.id)).toHaveLength(1);
    for (let times = 0; times < 2; times++) await asPolicy().acknowledgeRevokedKeys({ keyIds: [sub.id] });
    await auth.as(root.token).keys.revokeKey({ id: sub.id });
    expect(await listedKeys()).not.toContain(sub.id);
  });

  it("of many is listed page by page, each once, over all namespaces", async () => {
    const roots = await Promise.all(Array.from({ length: 3 }, () => auth.rootKey()));
    // A few at a time: on a busy machine, a namespace refuses more transactions than may wait.
    const revokeSubKeys = async ({ token }: (typeof roots)[number]): Promise<readonly string[]> => {
      const ids: string[] = [];
      for (let minted = 0; minted < 40; minted++) {
        const { id } = await auth.subKey(token);
        await auth.as(token).keys.revokeKey({ id });
        ids.push(id);
      }
      return ids;
    };
    const revoked = (await Promise.all(roots.map(revokeSubKeys))).flat();
    const listed = await listedKeys();
    expect(new Set(listed).size).toBe(listed.length);
    expect(listed).toEqual(expect.arrayContaining(revoked));
  });
});
