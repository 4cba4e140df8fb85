import { DomainError, type Id } from "@routeplane/domain";
import { createVerifier } from "@routeplane/rpc";
import { breakable, eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthUnderTest, startAuthUnderTest } from "../../../auth/test/auth-under-test.ts";
import type { Caller, SubscribeToKey, VerifyKey } from "../../src/domain/ports/key-verifier.ts";
import { fakeVerifier } from "../fake-verifier.ts";

/** Contract of `VerifyKey` and `SubscribeToKey`, which the verifier of packages/rpc and its fake fulfil. */

/** An implementation, and the keys that it verifies. */
interface Subject {
  readonly verify: VerifyKey;
  readonly subscribe: SubscribeToKey;
  /** Mints a key below a root key of its own. */
  readonly mint: (scopes: readonly string[]) => Promise<{ readonly id: string; readonly token: string }>;
  readonly narrow: (keyId: string, scopes: readonly string[]) => Promise<void>;
  readonly revoke: (keyId: string) => Promise<void>;
  /** Makes the source of verification results unreachable. */
  readonly goDown: () => void;
}

let auth: AuthUnderTest;
const started: { stop(): Promise<void> }[] = [];
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(async () => {
  await Promise.all(started.map((component) => component.stop()));
  await auth.stop();
});

const implementations: [string, () => Promise<Subject>][] = [
  [
    "the verifier of the auth service's tokens",
    async () => {
      const transport = breakable(await auth.replica());
      const verifier = createVerifier(transport, { clock: () => auth.time.now });
      started.push(verifier);
      const root = await auth.rootKey();
      const { keys } = auth.as(root.token);
      return {
        verify: verifier.verify,
        subscribe: verifier.subscribe,
        mint: (scopes) => auth.subKey(root.token, scopes),
        async narrow(id, scopes) {
          await keys.updateKey({ id, scopes: [...scopes] });
        },
        async revoke(id) {
          await keys.revokeKey({ id });
        },
        goDown: () => {
          transport.callsFail = true;
          transport.feedStalled = true;
        },
      };
    },
  ],
  [
    "the fake",
    async () => {
      const verifier = fakeVerifier();
      return {
        verify: verifier.verify,
        subscribe: verifier.subscribe,
        mint: async (scopes) => verifier.mint(scopes),
        narrow: async (id, scopes) => verifier.narrow(id as Id<"key">, scopes),
        revoke: async (id) => verifier.revoke(id as Id<"key">),
        goDown: () => verifier.goDown(),
      };
    },
  ],
];

const SCOPES = ["inference:invoke", "keys:read"];

/** Listener that keeps what it receives. */
function createListener() {
  const results: (Caller | DomainError)[] = [];
  return { results, listener: (result: Caller | DomainError) => void results.push(result) };
}

describe.each(implementations)("%s", (_, start) => {
  it("resolves to the key of a token, with its namespace, scopes and lineage", async () => {
    const { verify, mint } = await start();
    const { id, token } = await mint(SCOPES);
    const caller = await verify(token);
    expect(caller).toMatchObject({ kind: "key", keyId: id, namespaceId: expect.stringMatching(/^ns_/) as string });
    if (caller.kind !== "key") expect.fail("not a key");
    expect(caller.scopes.toSorted()).toEqual(SCOPES);
    expect(caller.lineage.at(-1)).toBe(id);
    expect(caller.lineage).toHaveLength(2);
  });

  it("rejects an unknown token as UNAUTHENTICATED, for a subscription too", async () => {
    const { verify, subscribe } = await start();
    const error = { name: "DomainError", code: "unauthenticated", reason: "CREDENTIAL_INVALID" };
    const { results, listener } = createListener();
    await expect(verify("rp_unknown")).rejects.toMatchObject(error);
    await expect((async () => subscribe("rp_unknown", listener))()).rejects.toMatchObject(error);
    expect(results).toEqual([]);
  });

  it("rejects a revoked token as UNAUTHENTICATED and names the reason", async () => {
    const { verify, mint, revoke } = await start();
    const { id, token } = await mint(SCOPES);
    await verify(token);
    await revoke(id);
    await eventually(() =>
      verify(token).then(
        () => false,
        () => true,
      ),
    );
    await expect(verify(token)).rejects.toMatchObject({ code: "unauthenticated", reason: "CREDENTIAL_REVOKED" });
  });

  it("resolves a subscription to the same principal as a verification", async () => {
    const { verify, subscribe, mint } = await start();
    const { token } = await mint(SCOPES);
    const { principal, release } = await subscribe(token, () => {});
    expect(await verify(token)).toEqual(principal);
    release();
  });

  it("calls every listener of a token with the narrowed key", async () => {
    const { subscribe, mint, narrow } = await start();
    const { id, token } = await mint(SCOPES);
    const listeners = [createListener(), createListener()];
    const subscriptions = await Promise.all(listeners.map(async ({ listener }) => subscribe(token, listener)));
    await narrow(id, ["keys:read"]);
    for (const { results } of listeners) {
      await eventually(() => results.length > 0);
      expect(results.at(-1)).toMatchObject({ kind: "key", keyId: id, scopes: ["keys:read"] });
    }
    for (const { release } of subscriptions) release();
  });

  it("calls a listener with the error of a revoked key, and never again after it", async () => {
    const { subscribe, mint, revoke } = await start();
    const { id, token } = await mint(SCOPES);
    const { results, listener } = createListener();
    const { release } = await subscribe(token, listener);
    await revoke(id);
    await eventually(() => results.some((result) => result instanceof DomainError));
    expect(results.at(-1)).toMatchObject({ code: "unauthenticated", reason: "CREDENTIAL_REVOKED" });
    const { length } = results;
    await revoke(id);
    release();
    expect(results).toHaveLength(length);
  });

  it("calls no listener once its subscription is released, and still calls the others", async () => {
    const { subscribe, mint, revoke } = await start();
    const { id, token } = await mint(SCOPES);
    const [released, kept] = [createListener(), createListener()];
    const { release } = await subscribe(token, released.listener);
    await subscribe(token, kept.listener);
    release();
    release();
    await revoke(id);
    await eventually(() => kept.results.length > 0);
    expect(released.results).toEqual([]);
  });

  it("rejects a token that it does not know yet as UNAVAILABLE while its source does not answer", async () => {
    const { verify, subscribe, mint, goDown } = await start();
    const { token } = await mint(SCOPES);
    goDown();
    const error = { name: "DomainError", code: "unavailable", metadata: { dependency: "auth" } };
    await expect(verify(token)).rejects.toMatchObject(error);
    await expect((async () => subscribe(token, () => {}))()).rejects.toMatchObject(error);
  });

  it("calls the listener of a token that can no longer be verified with UNAVAILABLE, within 5 s", async () => {
    const { subscribe, mint, goDown } = await start();
    const { token } = await mint(SCOPES);
    const { results, listener } = createListener();
    await subscribe(token, listener);
    goDown();
    await eventually(() => results.length > 0, 6_000);
    expect(results).toMatchObject([{ code: "unavailable" }]);
  });
});
