import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { ALL_SCOPES } from "@routeplane/credentials";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, refusal, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const inHours = (hours: number) => timestampFromMs(auth.time.now + hours * 3_600_000);
const scopesNow = async (token: string) => {
  const answer = await auth.verify(token);
  return answer.case === "key" ? answer.value.scopes : answer.value;
};

describe("an update", () => {
  it("changes the fields that are set, for every reader from then on", async () => {
    const root = await auth.rootKey();
    const { keys } = auth.as(root.token);
    const before = (await keys.getKey({ id: root.id })).key;
    const update = { name: "renamed", scopes: ["keys:*", "usage:read"], expiresAt: inHours(1) };
    const { key } = await keys.updateKey({ id: root.id, ...update });
    expect(key).toEqual({ ...before, ...update });
    expect((await keys.getKey({ id: root.id })).key).toEqual(key);
    expect((await keys.updateKey({ id: root.id, name: "again" })).key).toEqual({ ...key, name: "again" });
  });

  it("changes only what its mask names, whatever else is set", async () => {
    const root = await auth.rootKey();
    const request = { id: root.id, name: "masked", scopes: ["keys:read"], updateMask: { paths: ["name"] } };
    const { key } = await auth.as(root.token).keys.updateKey(request);
    expect(key).toMatchObject({ name: "masked", scopes: ALL_SCOPES });
  });

  it("that narrows a key narrows every key below it at once, and what they can mint", async () => {
    const root = await auth.rootKey();
    const child = await auth.subKey(root.token, ["keys:*", "usage:read"]);
    const grandchild = await auth.subKey(child.token, ["keys:*", "usage:read"]);
    await auth.as(root.token).keys.updateKey({ id: child.id, scopes: ["keys:*"] });
    expect(await scopesNow(grandchild.token)).toEqual(["keys:*"]);
    const { keys } = auth.as(grandchild.token);
    expect(await refusal(keys.mintKey({ name: "x", scopes: ["usage:read"] }))).toMatchObject({
      reason: "SCOPE_EXCEEDS_PARENT",
      infoMetadata: { scopes: "usage:read" },
    });
    await auth.as(root.token).keys.updateKey({ id: child.id, scopes: ["keys:read"] });
    expect(await scopesNow(grandchild.token)).toEqual(["keys:read"]);
    expect(await refusal(keys.updateKey({ id: grandchild.id, name: "x" }))).toMatchObject({ reason: "SCOPE_MISSING" });
  });

  it("that brings an expiry forward ends every key below it then", async () => {
    const root = await auth.rootKey();
    const child = await auth.subKey(root.token);
    const grandchild = await auth.subKey(child.token);
    await auth.as(root.token).keys.updateKey({ id: child.id, expiresAt: inHours(1) });
    expect(await auth.verify(grandchild.token)).toMatchObject({ case: "key", value: { expiresAt: inHours(1) } });
    auth.time.now += 3_600_000;
    for (const { token } of [child, grandchild]) {
      expect(await auth.verify(token)).toMatchObject({ case: "refusal" });
    }
    expect(await auth.verify(root.token)).toMatchObject({ case: "key" });
    const { keys } = auth.as(root.token);
    for (const id of [child.id, grandchild.id]) {
      expect(await refusal(keys.updateKey({ id, name: "x" }))).toMatchObject({ reason: "STATE_CONFLICT" });
    }
  });

  it("that widens is refused, names the excess, and changes nothing", async () => {
    const root = await auth.rootKey();
    const { id } = await auth.subKey(root.token, ["keys:read", "usage:*"], auth.time.now + 3_600_000);
    const { keys } = auth.as(root.token);
    const before = (await keys.getKey({ id })).key;
    const wide = await refusal(keys.updateKey({ id, name: "x", scopes: ["usage:read", "keys:*", "policy:read"] }));
    expect(wide).toMatchObject({ code: Code.PermissionDenied, reason: "KEY_WIDENED" });
    expect(wide.infoMetadata).toEqual({ scopes: "keys:* policy:read" });
    for (const late of [{ expiresAt: inHours(2) }, { updateMask: { paths: ["expires_at"] } }]) {
      const error = await refusal(keys.updateKey({ id, name: "x", ...late }));
      expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "KEY_WIDENED" });
      expect(error.infoMetadata).toEqual({ expires_at: new Date(auth.time.now + 3_600_000).toISOString() });
    }
    expect((await keys.getKey({ id })).key).toEqual(before);
  });

  it.each([
    ["nothing to change", {}, "update_mask"],
    ["a mask of what cannot be changed", { name: "x", updateMask: { paths: ["name", "parent_id"] } }, "update_mask"],
    ["a blank name", { name: " \u00a0" }, "name"],
    ["a name of control characters", { name: "a\u0000b" }, "name"],
    ["a name of 101 characters", { name: "x".repeat(101) }, "name"],
    ["a name that is cleared", { updateMask: { paths: ["name"] } }, "name"],
    ["scopes that are cleared", { updateMask: { paths: ["scopes"] } }, "scopes"],
    ["an unknown scope", { scopes: ["keys:fly"] }, "scopes"],
    ["a scope given twice", { scopes: ["keys:read", "keys:read"] }, "scopes"],
    ["an expiry in the past", { expiresAt: timestampFromMs(1000) }, "expires_at"],
    ["an expiry that JSON cannot express", { expiresAt: timestampFromMs(Date.UTC(20_000, 0)) }, "expires_at"],
    ["an expiry that is not a time", { expiresAt: { seconds: 2n ** 62n, nanos: 0 } }, "expires_at"],
  ])("is refused with %s, naming the field", async (_case, update, field) => {
    const root = await auth.rootKey();
    const error = await refusal(auth.as(root.token).keys.updateKey({ id: root.id, ...update }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
    expect(error.rawMessage).toContain(`${field}: `);
  });

  it("with an expiry at this very moment is refused", async () => {
    const root = await auth.rootKey();
    const call = auth.as(root.token).keys.updateKey({ id: root.id, expiresAt: inHours(0) });
    expect(await refusal(call)).toMatchObject({ code: Code.InvalidArgument });
  });

  it("with a mask that clears an absent expiry changes nothing", async () => {
    const root = await auth.rootKey();
    const request = { id: root.id, updateMask: { paths: ["expires_at"] } };
    const { key } = await auth.as(root.token).keys.updateKey(request);
    expect(key?.expiresAt).toBeUndefined();
  });
});

describe("updates at the same instant", () => {
  it("narrow one after the other: none restores what another one removed", async () => {
    const root = await auth.rootKey();
    const { keys } = auth.as(root.token);
    for (let round = 0; round < 10; round += 1) {
      const { id, token } = await auth.subKey(root.token, ["keys:*", "usage:*", "policy:*"]);
      const wishes = [["keys:*"], ["keys:read"], ["keys:*", "usage:*"], ["keys:read", "usage:read"]];
      const answers = await Promise.allSettled(wishes.map((scopes) => keys.updateKey({ id, scopes })));
      const granted = wishes.filter((_, index) => answers[index]?.status === "fulfilled");
      expect(granted).not.toEqual([]);
      const now = await scopesNow(token);
      for (const scopes of granted) {
        for (const scope of now as readonly string[]) {
          expect(scopes.some((each) => each === scope || each === `${scope.split(":")[0]}:*`)).toBe(true);
        }
      }
    }
  });

  it("together with a mint below leave no key that may do more than the one above it", async () => {
    const root = await auth.rootKey();
    for (let round = 0; round < 10; round += 1) {
      const parent = await auth.subKey(root.token, ["keys:*", "usage:read"]);
      const [minted] = await Promise.allSettled([
        auth.subKey(parent.token, ["keys:write", "usage:read"]),
        auth.as(root.token).keys.updateKey({ id: parent.id, scopes: ["keys:*"] }),
      ]);
      if (minted.status === "fulfilled") expect(await scopesNow(minted.value.token)).toEqual(["keys:write"]);
      else expect(minted.reason).toMatchObject({ code: Code.PermissionDenied });
    }
  });
});
