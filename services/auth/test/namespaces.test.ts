import { Code, ConnectError } from "@connectrpc/connect";
import { newId } from "@routeplane/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, INSTALLER_TOKEN, GATEWAY_TOKEN, startAuthUnderTest } from "./auth-under-test.ts";

const DAY_MS = 24 * 3_600_000;

let auth: AuthUnderTest;
let names = 0;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

const operators = () => auth.as(auth.operatorToken).namespaces;
const verify = async (token: string) => (await auth.as(GATEWAY_TOKEN).verification.verifyKey({ token })).outcome;
const codeOf = (call: Promise<unknown>): Promise<Code | undefined> =>
  call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  );

/** A namespace of its own with a root key and a key below it. */
async function createNamespaceWithKeys() {
  const name = `ns-${++names}`;
  const { namespace } = await operators().createNamespace({ name });
  const root = await auth.rootKey(name);
  const child = await auth.as(root.token).keys.mintKey({ name: "child", scopes: ["keys:read"] });
  return { name, id: namespace?.id ?? "", tokens: [root.token, child.token], root };
}

async function expectOutcomes(tokens: readonly string[], outcome: object): Promise<void> {
  for (const token of tokens) expect(await verify(token)).toMatchObject(outcome);
}

const refusedBecause = (word: string) => ({
  case: "refusal",
  value: { message: expect.stringContaining(word) as unknown },
});

describe("a suspended namespace", () => {
  it("refuses all its keys until it is resumed, and no other namespace's", async () => {
    const { name, id, tokens } = await createNamespaceWithKeys();
    const other = await createNamespaceWithKeys();
    const first = await operators().suspendNamespace({ namespace: name });
    auth.time.now += 1_000;
    const second = await operators().suspendNamespace({ namespace: id });
    expect(second.namespace?.suspendedAt).toEqual(first.namespace?.suspendedAt);
    await expectOutcomes(tokens, refusedBecause("suspended"));
    expect(await codeOf(auth.as(tokens[0] ?? "").keys.listKeys({}))).toBe(Code.Unauthenticated);
    await expectOutcomes(other.tokens, { case: "key" });
    await operators().resumeNamespace({ namespace: name });
    const resumed = await operators().resumeNamespace({ namespace: name });
    expect(resumed.namespace?.suspendedAt).toBeUndefined();
    await expectOutcomes(tokens, { case: "key" });
  });

  it("is named as the reason only to the holder of the secret", async () => {
    const { name, tokens } = await createNamespaceWithKeys();
    await operators().suspendNamespace({ namespace: name });
    const [token = ""] = tokens;
    const guessed = `${token.slice(0, -1)}${token.endsWith("x") ? "y" : "x"}`;
    await expectOutcomes([guessed], refusedBecause("invalid"));
  });
});

describe("a deleted namespace", () => {
  it("refuses all its keys, is listed on request, and is restored as it was", async () => {
    const { name, id, tokens } = await createNamespaceWithKeys();
    const { namespace } = await operators().deleteNamespace({ namespace: name });
    expect(namespace?.restorableUntil?.seconds).toBe((namespace?.deletedAt?.seconds ?? 0n) + 30n * 86_400n);
    await expectOutcomes(tokens, refusedBecause("deleted"));
    const listed = async (showDeleted: boolean) =>
      (await operators().listNamespaces({ showDeleted, pageSize: 1000 })).namespaces.map((each) => each.id);
    expect(await listed(false)).not.toContain(id);
    expect(await listed(true)).toContain(id);
    await operators().restoreNamespace({ namespace: id });
    await expectOutcomes(tokens, { case: "key" });
    expect(await listed(false)).toContain(id);
  });

  it("frees its name, accepts no new keys, and cannot be restored while another namespace has its name", async () => {
    const { name, id } = await createNamespaceWithKeys();
    await operators().deleteNamespace({ namespace: id });
    expect(await codeOf(auth.rootKey(id))).toBe(Code.NotFound);
    expect(await codeOf(auth.rootKey(name))).toBe(Code.NotFound);
    const { namespace: successor } = await operators().createNamespace({ name });
    expect(await codeOf(operators().restoreNamespace({ namespace: id }))).toBe(Code.AlreadyExists);
    await operators().renameNamespace({ namespace: successor?.id ?? "", name: `${name}-new` });
    expect((await operators().restoreNamespace({ namespace: id })).namespace).toMatchObject({ id, name });
  });

  it("is NOT_FOUND, like one that never existed, once its 30 days are over", async () => {
    const { id, tokens } = await createNamespaceWithKeys();
    await operators().deleteNamespace({ namespace: id });
    auth.time.now += 30 * DAY_MS;
    const calls = [operators().getNamespace, operators().restoreNamespace, operators().suspendNamespace];
    for (const call of calls) expect(await codeOf(call({ namespace: id }))).toBe(Code.NotFound);
    const { namespaces } = await operators().listNamespaces({ showDeleted: true, pageSize: 1000 });
    expect(namespaces.map((each) => each.id)).not.toContain(id);
    await expectOutcomes(tokens, refusedBecause("deleted"));
  });
});

describe("a namespace's name", () => {
  it("changes without touching its id and keys, and is unique in the account", async () => {
    const [first, second] = [await createNamespaceWithKeys(), await createNamespaceWithKeys()];
    const { namespace } = await operators().renameNamespace({ namespace: first.name, name: `${first.name}-renamed` });
    expect(namespace).toMatchObject({ id: first.id, name: `${first.name}-renamed` });
    await expectOutcomes(first.tokens, { case: "key" });
    expect(await codeOf(operators().getNamespace({ namespace: first.name }))).toBe(Code.NotFound);
    const taken = operators().renameNamespace({ namespace: first.id, name: second.name });
    expect(await codeOf(taken)).toBe(Code.AlreadyExists);
    const malformed = operators().renameNamespace({ namespace: first.id, name: "No Good" });
    expect(await codeOf(malformed)).toBe(Code.InvalidArgument);
  });

  it("can differ from default without the bootstrap adding another one", async () => {
    await operators().renameNamespace({ namespace: "default", name: "renamed" });
    const again = await auth.as(INSTALLER_TOKEN).bootstrap.bootstrapNode({ operatorToken: auth.operatorToken });
    expect(again.namespaceId).toBe("");
    await operators().renameNamespace({ namespace: "renamed", name: "default" });
  });
});

describe("changing namespaces", () => {
  it("is for operators; a key can only read its namespace", async () => {
    const { name, id, root } = await createNamespaceWithKeys();
    const { namespaces } = auth.as(root.token);
    const request = { namespace: id, name: "x" };
    const { renameNamespace, suspendNamespace, resumeNamespace, deleteNamespace, restoreNamespace } = namespaces;
    for (const call of [renameNamespace, suspendNamespace, resumeNamespace, deleteNamespace, restoreNamespace]) {
      expect(await codeOf(call(request))).toBe(Code.PermissionDenied);
    }
    expect((await namespaces.getNamespace({ namespace: name })).namespace).toMatchObject({ id, active: true });
  });

  it("answers the same for unknown and malformed ones, and changes nothing", async () => {
    for (const namespace of [newId("ns"), "ns_x", "no-such", "' or 1=1 --", "x".repeat(5000)]) {
      const { renameNamespace, suspendNamespace, resumeNamespace, deleteNamespace, restoreNamespace } = operators();
      for (const call of [suspendNamespace, resumeNamespace, deleteNamespace, restoreNamespace]) {
        expect(await codeOf(call({ namespace }))).toBe(Code.NotFound);
      }
      expect(await codeOf(renameNamespace({ namespace, name: "x" }))).toBe(Code.NotFound);
    }
  });
});
