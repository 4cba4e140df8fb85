import { DomainError, type Id, newId } from "@routeplane/domain";
import type { Caller, CallingKey, SubscribeToKey, VerifyKey } from "../src/domain/ports/key-verifier.ts";
import { unavailable } from "./unavailable.ts";

/** Fake `VerifyKey` and `SubscribeToKey`, whose results change at once and synchronously. */
export interface FakeVerifier {
  readonly verify: VerifyKey;
  readonly subscribe: SubscribeToKey;
  /** Adds a key below a root key of its own. */
  mint(scopes: readonly string[]): { readonly id: Id<"key">; readonly token: string };
  /** Replaces the scopes of a key. */
  narrow(keyId: Id<"key">, scopes: readonly string[]): void;
  revoke(keyId: Id<"key">): void;
  /** Ends every subscription with UNAVAILABLE, and fails every later call with it. */
  goDown(): void;
}

interface FakeToken {
  result: CallingKey | DomainError;
  readonly listeners: Set<(result: Caller | DomainError) => void>;
}

export function fakeVerifier(): FakeVerifier {
  const tokens = new Map<string, FakeToken>();
  const byKeyId = new Map<Id<"key">, FakeToken>();
  let isDown = false;

  const find = (token: string): FakeToken & { readonly result: CallingKey } => {
    if (isDown) throw unavailable("auth");
    const known = tokens.get(token);
    if (known === undefined) throw refused("CREDENTIAL_INVALID", "the API key is not valid");
    const { result } = known;
    if (result instanceof DomainError) throw result;
    return { result, listeners: known.listeners };
  };
  const notify = ({ listeners }: FakeToken, result: CallingKey | DomainError): void => {
    const called = [...listeners];
    if (result instanceof DomainError) listeners.clear();
    for (const listener of called) listener(result);
  };
  const change = (keyId: Id<"key">, toResult: (key: CallingKey) => CallingKey | DomainError): void => {
    const token = byKeyId.get(keyId);
    if (token === undefined || token.result instanceof DomainError) return;
    token.result = toResult(token.result);
    notify(token, token.result);
  };

  return {
    verify: async (token) => find(token).result,
    async subscribe(token, listener) {
      const { result, listeners } = find(token);
      // A separate listener, so that releasing a subscription ends no other one with the same function.
      const own = (changed: Caller | DomainError): void => listener(changed);
      listeners.add(own);
      return { principal: result, release: () => void listeners.delete(own) };
    },
    mint(scopes) {
      const keyId = newId("key");
      const token = `rp_${keyId}`;
      const lineage = [newId("key"), keyId];
      const result: CallingKey = { kind: "key", keyId, namespaceId: newId("ns"), scopes, lineage };
      const added = { result, listeners: new Set<(result: Caller | DomainError) => void>() };
      tokens.set(token, added);
      byKeyId.set(keyId, added);
      return { id: keyId, token };
    },
    narrow: (keyId, scopes) => change(keyId, (key) => ({ ...key, scopes })),
    revoke: (keyId) => change(keyId, () => refused("CREDENTIAL_REVOKED", "the API key is revoked")),
    goDown() {
      isDown = true;
      for (const token of tokens.values()) notify(token, unavailable("auth"));
    },
  };
}

function refused(reason: "CREDENTIAL_INVALID" | "CREDENTIAL_REVOKED", message: string): DomainError {
  return new DomainError("unauthenticated", reason, message);
}

export function callerWith(scopes: readonly string[]): Caller {
  const keyId = newId("key");
  return { kind: "key", keyId, namespaceId: newId("ns"), scopes, lineage: [keyId] };
}

/** Subscriptions to keys whose verification results never change. */
export function fakeVerification(verifyKey: VerifyKey): SubscribeToKey {
  return async (token) => ({ principal: await verifyKey(token), release() {} });
}
