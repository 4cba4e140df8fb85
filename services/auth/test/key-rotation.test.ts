import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { parseToken } from "@routeplane/credentials";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, reasonOf, refusal, startAuthUnderTest } from "./auth-under-test.ts";

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const grace = (seconds: number) => ({ seconds: BigInt(seconds), nanos: 0 });
const rotate = (by: string, id: string, seconds?: number) =>
  auth.as(by).keys.rotateKey({ id, ...(seconds !== undefined && { grace: grace(seconds) }) });
const works = async (token: string) => (await auth.verify(token)).case === "key";
/** Expiry of a valid token; undefined: never. */
const endOf = async (token: string) => {
  const answer = await auth.verify(token);
  return answer.case === "key" ? answer.value.expiresAt : expect.fail("the token is refused");
};

describe("a rotation", () => {
  it("gives the same key a new token, whose prefix the key shows from then on", async () => {
    const root = await auth.rootKey();
    const { keys } = auth.as(root.token);
    const before = (await keys.getKey({ id: root.id })).key;
    const { key, token } = await rotate(root.token, root.id);
    expect(token).not.toBe(root.token);
    expect(token.startsWith(`${key?.prefix}`)).toBe(true);
    expect(key).toEqual({ ...before, prefix: key?.prefix });
    expect(await auth.verify(token)).toMatchObject({ case: "key", value: { keyId: root.id, lineage: [root.id] } });
    expect((await keys.getKey({ id: root.id })).key?.prefix).toBe(key?.prefix);
  });

  it("shows the token in its response and nowhere else", async () => {
    const root = await auth.rootKey();
    const { token } = await rotate(root.token, root.id);
    const secret = parseToken(token)?.secret ?? expect.fail("malformed token");
    const rows = await auth.database.within({ namespaceId: auth.namespaceId }, async (tx) =>
      JSON.stringify([
        await tx.selectFrom("keys").selectAll().execute(),
        await tx.selectFrom("key_secrets").selectAll().execute(),
      ]),
    );
    expect(rows).toContain(parseToken(token)?.lookupId);
    const { keys } = auth.as(token);
    const read = JSON.stringify([
      (await keys.getKey({ id: root.id })).key?.name,
      (await keys.listKeys({})).keys.length,
    ]);
    for (const text of [rows, read, auth.logged.join("")]) expect(text).not.toContain(secret);
  });

  it("keeps the old token valid for an hour by default, and returns the end of that grace", async () => {
    const root = await auth.rootKey();
    const rotated = await rotate(root.token, root.id);
    const end = timestampFromMs(auth.time.now + HOUR);
    expect(rotated.graceEndsAt).toEqual(end);
    expect(await auth.verify(root.token)).toMatchObject({ case: "key", value: { keyId: root.id, expiresAt: end } });
    expect((await auth.as(root.token).identity.whoAmI({})).identity.value).toMatchObject({ expiresAt: end });
    auth.time.now += HOUR - 1;
    expect(await works(root.token)).toBe(true);
    auth.time.now += 1;
    expect(await auth.verify(root.token)).toMatchObject({
      case: "refusal",
      value: { message: expect.stringContaining("replaced") },
    });
    expect(await refusal(auth.as(root.token).identity.whoAmI({}))).toMatchObject({ reason: "CREDENTIAL_EXPIRED" });
    expect(await endOf(rotated.token)).toBeUndefined();
  });

  it("never lets the old token outlive the key", async () => {
    const root = await auth.rootKey();
    const expiresAt = auth.time.now + HOUR;
    const child = await auth.subKey(root.token, ["keys:*"], expiresAt);
    const { token } = await rotate(root.token, child.id, 86_400);
    for (const each of [child.token, token]) {
      expect(await auth.verify(each)).toMatchObject({ value: { expiresAt: timestampFromMs(expiresAt) } });
    }
    auth.time.now = expiresAt;
    for (const each of [child.token, token]) expect(await works(each)).toBe(false);
  });

  it("leaves the tokens of earlier rotations their own ends, neither later nor earlier", async () => {
    const root = await auth.rootKey();
    const second = await rotate(root.token, root.id, 100);
    auth.time.now += 10 * SECOND;
    const third = await rotate(second.token, root.id, 604_800);
    const fourth = await rotate(third.token, root.id, 5);
    const validity = () => Promise.all([root, second, third, fourth].map(({ token }) => works(token)));
    expect(await validity()).toEqual([true, true, true, true]);
    auth.time.now += 5 * SECOND;
    expect(await validity()).toEqual([true, true, false, true]);
    auth.time.now += 85 * SECOND - 1;
    expect(await validity()).toEqual([true, true, false, true]);
    auth.time.now += 1;
    expect(await validity()).toEqual([false, true, false, true]);
    auth.time.now += 7 * DAY - 90 * SECOND;
    expect(await validity()).toEqual([false, false, false, true]);
  });

  it("without grace leaves only the new token valid: graces of earlier rotations end too", async () => {
    const root = await auth.rootKey();
    const second = await rotate(root.token, root.id, 3_600);
    const third = await rotate(second.token, root.id, 0);
    expect(await Promise.all([root, second, third].map(({ token }) => works(token)))).toEqual([false, false, true]);
  });

  it("does not bring back a token whose grace is over", async () => {
    const root = await auth.rootKey();
    const second = await rotate(root.token, root.id, 1);
    auth.time.now += SECOND;
    const third = await rotate(second.token, root.id, 604_800);
    await rotate(third.token, root.id, 604_800);
    expect(await works(root.token)).toBe(false);
  });

  it("leaves the keys below unchanged", async () => {
    const root = await auth.rootKey();
    const child = await auth.subKey(root.token);
    await rotate(root.token, root.id, 0);
    expect(await auth.verify(child.token)).toMatchObject({ case: "key", value: { lineage: [root.id, child.id] } });
  });

  it("ends with the key: revoking it stops the new token and those in grace", async () => {
    const root = await auth.rootKey();
    const child = await auth.subKey(root.token);
    const { token } = await rotate(root.token, child.id);
    await auth.as(root.token).keys.revokeKey({ id: child.id });
    for (const each of [child.token, token]) expect(await works(each)).toBe(false);
  });

  it.each([
    ["negative", { seconds: -1n, nanos: 0 }],
    ["longer than 7 days", grace(604_801)],
    ["7 days and a nanosecond", { seconds: 604_800n, nanos: 1 }],
    ["fractional", { seconds: 1n, nanos: 500_000_000 }],
    ["absurd", { seconds: 2n ** 63n - 1n, nanos: 0 }],
  ])("is refused a grace that is %s, and changes nothing", async (_case, wrong) => {
    const root = await auth.rootKey();
    const error = await refusal(auth.as(root.token).keys.rotateKey({ id: root.id, grace: wrong }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
    expect(error.rawMessage).toContain("grace: ");
    expect(await endOf(root.token)).toBeUndefined();
  });

  it("of a revoked or expired key, or of one below it, is refused", async () => {
    const root = await auth.rootKey();
    const revoked = await auth.subKey(root.token);
    const expired = await auth.subKey(root.token, ["keys:*"], auth.time.now + HOUR);
    const below = await Promise.all([revoked, expired].map(({ token }) => auth.subKey(token, ["keys:read"])));
    await auth.as(root.token).keys.revokeKey({ id: revoked.id });
    auth.time.now += HOUR;
    for (const { id } of [revoked, expired, ...below]) {
      expect(await refusal(rotate(root.token, id))).toMatchObject({
        code: Code.FailedPrecondition,
        reason: "STATE_CONFLICT",
      });
    }
  });
});

describe("at the same instant", () => {
  it("rotations leave one token without an end, whose prefix the key shows", async () => {
    const root = await auth.rootKey();
    for (let round = 0; round < 5; round += 1) {
      const child = await auth.subKey(root.token);
      const rotated = await Promise.all(Array.from({ length: 6 }, () => rotate(root.token, child.id, 60)));
      const endless = [];
      for (const { token } of [child, ...rotated]) if ((await endOf(token)) === undefined) endless.push(token);
      const { key } = await auth.as(root.token).keys.getKey({ id: child.id });
      expect(endless).toEqual([expect.stringMatching(new RegExp(`^${key?.prefix}`))]);
    }
  });

  it("a rotation and a revocation leave no token that works", async () => {
    const root = await auth.rootKey();
    for (let round = 0; round < 20; round += 1) {
      const child = await auth.subKey(root.token);
      const [rotated, revoked] = await Promise.allSettled([
        rotate(root.token, child.id),
        auth.as(root.token).keys.revokeKey({ id: child.id }),
      ]);
      expect(revoked.status).toBe("fulfilled");
      if (rotated.status === "rejected") expect(rotated.reason).toMatchObject({ code: Code.FailedPrecondition });
      else expect(await works(rotated.value.token)).toBe(false);
      expect(await works(child.token)).toBe(false);
    }
  });

  it("a rotation, an update and a mint all take effect, unless the rotation comes before the mint, and none undoes another", async () => {
    const root = await auth.rootKey();
    for (let round = 0; round < 10; round += 1) {
      const child = await auth.subKey(root.token, ["keys:*", "usage:read"]);
      const minting = auth.subKey(child.token, ["keys:read"]).catch((error: unknown) => {
        expect(reasonOf(error)).toBe("CREDENTIAL_REPLACED");
        return undefined;
      });
      const [rotated, , minted] = await Promise.all([
        rotate(root.token, child.id, 60),
        auth.as(root.token).keys.updateKey({ id: child.id, name: "new", scopes: ["keys:*"] }),
        minting,
      ]);
      const { key } = await auth.as(root.token).keys.getKey({ id: child.id });
      expect(key).toMatchObject({ name: "new", scopes: ["keys:*"], prefix: rotated.key?.prefix });
      expect(await auth.verify(rotated.token)).toMatchObject({ value: { scopes: ["keys:*"] } });
      if (minted === undefined) continue;
      expect(await auth.verify(minted.token)).toMatchObject({ value: { lineage: [root.id, child.id, minted.id] } });
    }
  });
});
