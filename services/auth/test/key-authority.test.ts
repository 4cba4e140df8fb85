import { Code } from "@connectrpc/connect";
import { permits } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, reasonOf, refusal, startAuthUnderTest } from "./auth-under-test.ts";

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

type Tree = Readonly<Record<"root" | "child" | "grandchild" | "sibling" | "other root" | "its child", MintedKey>>;
type MintedKey = { readonly id: string; readonly token: string };
type Name = keyof Tree;

/** Two root keys of one namespace and keys below them; each holds fewer scopes, and expires no later, than the one above. */
async function mintTree(): Promise<Tree> {
  const root = await auth.rootKey();
  const end = auth.time.now + 3_600_000;
  const child = await auth.subKey(root.token, ["keys:*", "usage:*"], end);
  const grandchild = await auth.subKey(child.token, ["keys:*"]);
  const sibling = await auth.subKey(root.token, ["keys:*", "policy:*"]);
  const otherRoot = await auth.rootKey();
  const itsChild = await auth.subKey(otherRoot.token, ["keys:*", "inference:*"]);
  return { root, child, grandchild, sibling, "other root": otherRoot, "its child": itsChild };
}

const below: Readonly<Record<Name, readonly Name[]>> = {
  root: ["child", "grandchild", "sibling"],
  child: ["grandchild"],
  grandchild: [],
  sibling: [],
  "other root": ["its child"],
  "its child": [],
};
const names = Object.keys(below) as Name[];
const pairs = names.flatMap((caller) => names.map((target) => [caller, target] as const));
const isRoot = (name: Name): boolean => name.endsWith("root");

const outcome = (call: Promise<unknown>) =>
  call.then(
    () => "done",
    (error: unknown) => reasonOf(error),
  );

describe("authority over keys", () => {
  let tree: Tree;
  beforeAll(async () => {
    tree = await mintTree();
  });

  it.each(pairs)("%s updates %s: only itself and below, or as a root key", async (caller, target) => {
    const call = auth.as(tree[caller].token).keys.updateKey({ id: tree[target].id, name: `by ${caller}` });
    const allowed = caller === target || below[caller].includes(target) || isRoot(caller);
    expect(await outcome(call)).toBe(allowed ? "done" : "KEY_OUT_OF_LINEAGE");
  });

  it.each(pairs)(
    "%s rotates %s: only itself and below, and gets nothing that it does not have",
    async (caller, target) => {
      const tree = await mintTree();
      const had = await auth.verify(tree[caller].token);
      const call = auth.as(tree[caller].token).keys.rotateKey({ id: tree[target].id });
      if (caller !== target && !below[caller].includes(target)) {
        const error = await refusal(call);
        expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "KEY_OUT_OF_LINEAGE" });
        return;
      }
      const { token } = await call;
      const got = await auth.verify(token);
      if (had.case !== "key" || got.case !== "key") return expect.fail("a token is refused");
      expect(got.value.keyId).toBe(tree[target].id);
      expect(got.value.lineage.slice(0, had.value.lineage.length)).toEqual(had.value.lineage);
      for (const scope of got.value.scopes) expect(permits(had.value.scopes, scope)).toBe(true);
      const { key } = await auth.as(token).keys.getKey({ id: tree[caller].id });
      if (key?.expiresAt) expect(timestampMs(got.value.expiresAt!)).toBeLessThanOrEqual(timestampMs(key.expiresAt));
    },
  );

  it.each(pairs)("%s revokes %s: only itself and below, or as a root key", async (caller, target) => {
    const tree = await mintTree();
    const call = auth.as(tree[caller].token).keys.revokeKey({ id: tree[target].id });
    const allowed = caller === target || below[caller].includes(target) || isRoot(caller);
    expect(await outcome(call)).toBe(allowed ? "done" : "KEY_OUT_OF_LINEAGE");
    const revoked = allowed ? [target, ...below[target]] : [];
    for (const name of names) {
      expect([name, (await auth.verify(tree[name].token)).case]).toEqual([
        name,
        revoked.includes(name) ? "refusal" : "key",
      ]);
    }
  });

  it("answers a foreign, an unknown and a malformed id with the same NOT_FOUND, to every caller", async () => {
    await auth.as(auth.operatorToken).namespaces.createNamespace({ name: "foreign" });
    const foreign = await auth.rootKey("foreign");
    for (const { token } of [tree.root, tree.grandchild]) {
      const { keys } = auth.as(token);
      for (const call of [
        (id: string) => keys.updateKey({ id, name: "x" }),
        (id: string) => keys.rotateKey({ id }),
        (id: string) => keys.revokeKey({ id, reason: "x" }),
      ]) {
        const errors = await Promise.all([foreign.id, newId("key"), "key_x", ""].map((id) => refusal(call(id))));
        const seen = errors.map((error) => JSON.stringify([error.code, error.rawMessage, error.reason]));
        expect(new Set(seen)).toEqual(
          new Set([JSON.stringify([Code.NotFound, errors[0]?.rawMessage, "RESOURCE_NOT_FOUND"])]),
        );
      }
    }
    expect(await auth.verify(foreign.token)).toMatchObject({ case: "key" });
  });

  it("needs keys:write, and the refusal of a key without it names the scope", async () => {
    const reader = await auth.subKey(tree.root.token, ["keys:read"]);
    const { keys } = auth.as(reader.token);
    const { id } = reader;
    const calls = [() => keys.updateKey({ id, name: "x" }), () => keys.rotateKey({ id }), () => keys.revokeKey({ id })];
    for (const call of calls) {
      expect(await refusal(call())).toMatchObject({ reason: "SCOPE_MISSING", infoMetadata: { scope: "keys:write" } });
    }
  });
});

describe("a revocation", () => {
  it("keeps its reason and shows it; a second one changes neither time nor reason", async () => {
    const root = await auth.rootKey();
    const { id } = await auth.subKey(root.token);
    const { keys } = auth.as(root.token);
    const first = await keys.revokeKey({ id, reason: "Leaked in a log — 日本" });
    expect(first.key).toMatchObject({ revokedReason: "Leaked in a log — 日本" });
    auth.time.now += 1000;
    for (const again of [{}, { reason: "another" }]) {
      expect((await keys.revokeKey({ id, ...again })).key).toEqual(first.key);
    }
    expect((await keys.getKey({ id })).key).toEqual(first.key);
    expect((await keys.listKeys({ pageSize: 1000 })).keys).toContainEqual(first.key);
  });

  it("needs no reason, and one that is given later is not added", async () => {
    const root = await auth.rootKey();
    const { id } = await auth.subKey(root.token);
    const { keys } = auth.as(root.token);
    expect((await keys.revokeKey({ id })).key?.revokedReason).toBe("");
    expect((await keys.revokeKey({ id, reason: "late" })).key?.revokedReason).toBe("");
  });

  it("by many callers at the same instant has one time and one reason", async () => {
    const root = await auth.rootKey();
    const { id } = await auth.subKey(root.token);
    const answers = await Promise.all(
      ["a", "b", "c", "d", "e"].map((reason) => auth.as(root.token).keys.revokeKey({ id, reason })),
    );
    expect(new Set(answers.map(({ key }) => `${key?.revokedAt?.seconds} ${key?.revokedReason}`)).size).toBe(1);
  });

  it.each([
    ["blank", " \u2003"],
    ["longer than 200 characters", "x".repeat(201)],
    ["with control characters", "a\u001b[2Jb"],
    ["with a line break", "a\nb"],
  ])("is refused a reason that is %s, and revokes nothing", async (_case, reason) => {
    const root = await auth.rootKey();
    const { id, token } = await auth.subKey(root.token);
    const error = await refusal(auth.as(root.token).keys.revokeKey({ id, reason }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
    expect(error.rawMessage).toContain("reason: ");
    expect(await auth.verify(token)).toMatchObject({ case: "key" });
  });

  it("accepts a reason of 200 characters, and treats SQL as text", async () => {
    const root = await auth.rootKey();
    for (const reason of ["🤖".repeat(200), "'; drop table keys; --"]) {
      const { id } = await auth.subKey(root.token);
      const { key } = await auth.as(root.token).keys.revokeKey({ id, reason });
      expect(key?.revokedReason).toBe(reason);
    }
  });
});
