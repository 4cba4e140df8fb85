import { ALL_SCOPES } from "@routeplane/credentials";
import { newId } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { type KeyLineage, newRootKey, newSubKey } from "../keys/key.ts";
import { firstOperator, newSubOperator, type OperatorLineage } from "../operators/operator.ts";
import { newConsoleKey } from "./console-key.ts";
import { requireSessionAuthority, type SessionCaller } from "./session-caller.ts";
import { endedSession, exchangedSession, newSession, sessionExpiry, sessionScopes } from "./session.ts";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const HOUR = 3_600_000;
const at = (hours: number) => new Date(NOW + hours * HOUR);
const owner = { namespaceId: newId("ns"), accountId: newId("acc") };
const ALL = { scopes: [], address: "" };

const keyUntil = (expiresAt?: Date): KeyLineage => [
  newRootKey(owner, { name: "root", scopes: ALL_SCOPES, expiresAt }, "rp_live_x", NOW),
];
const operatorUntil = (expiresAt?: Date): OperatorLineage => {
  const first = firstOperator("rpo_live_x", NOW);
  const request = { name: "operator", scopes: first.scopes, expiresAt };
  return [first, newSubOperator([first], undefined, request, "rpo_live_y", NOW)];
};
const consoleKey = (): KeyLineage => [newConsoleKey(owner, { name: "operator" }, NOW)];

describe("a session", () => {
  it.each([
    [undefined, undefined, 12],
    [11, undefined, 11],
    [undefined, 11, 11],
    [5, 4, 4],
    [4, 5, 4],
    [13, 14, 12],
  ])("ends with the first of its key (%s h), its operator credential (%s h) and 12 hours", (key, operator, hours) => {
    const [ofKey] = keyUntil(key === undefined ? undefined : at(key));
    const lineages = {
      key: [ofKey] as const,
      operator: operatorUntil(operator === undefined ? undefined : at(operator)),
    };
    const session = newSession(lineages, ALL, NOW);
    expect(session.expiresAt).toEqual(at(hours));
    // An expiry that is brought forward later also ends the session.
    const sooner = { key: [{ ...ofKey, expiresAt: at(1) }] as const, operator: lineages.operator };
    expect(sessionExpiry(session, sooner)).toEqual(at(1));
  });

  it.each([
    ["revoked", { revokedAt: new Date(NOW - 1) }],
    ["expired", { expiresAt: new Date(NOW) }],
  ])("is not opened by a key that was %s meanwhile, or by an operator credential", (_state, change) => {
    const [key] = keyUntil();
    const [first, operator] = operatorUntil();
    const refused = expect.objectContaining({ code: "unauthenticated", reason: "CREDENTIAL_REVOKED" });
    expect(() => newSession({ key: [{ ...key, ...change }], operator: undefined }, ALL, NOW)).toThrow(refused);
    for (const lineage of [
      [{ ...first, ...change }, operator!],
      [first, { ...operator!, ...change }],
    ] as const) {
      expect(() => newSession({ key: undefined, operator: lineage }, ALL, NOW)).toThrow(refused);
      expect(() => newSession({ key: consoleKey(), operator: lineage }, ALL, NOW)).toThrow(refused);
    }
  });

  it("holds no scope that its key has lost since", () => {
    const key = keyUntil();
    const session = newSession({ key, operator: undefined }, { scopes: ["keys:*", "usage:read"], address: "" }, NOW);
    const narrowed: KeyLineage = [{ ...key[0], scopes: ["keys:read", "policy:*"] }];
    expect(sessionScopes(session, { key: narrowed, operator: undefined })).toEqual(["keys:read"]);
  });

  it("keeps its expiry and its operator scopes when it is exchanged, whatever the namespace", () => {
    const operator = operatorUntil();
    const request = { scopes: ["keys:write", "usage:read"], address: "127.0.0.1" };
    const first = newSession({ key: undefined, operator }, request, NOW);
    const inside = exchangedSession(first, { key: consoleKey(), operator }, NOW + 3 * HOUR);
    const back = exchangedSession(inside, { key: undefined, operator }, NOW + 6 * HOUR);
    expect(inside).toMatchObject({ expiresAt: at(12), scopes: ALL_SCOPES, address: "127.0.0.1" });
    expect(back).toMatchObject({ expiresAt: at(12), scopes: request.scopes, namespaceId: undefined });
    expect(new Set([first.id, inside.id, back.id]).size).toBe(3);
  });

  it("keeps the cause and the time of its first end", () => {
    const session = newSession({ key: keyUntil(), operator: undefined }, ALL, NOW);
    const ended = endedSession(session, "sign_out", NOW + 1);
    expect(ended).toMatchObject({ endedBy: "sign_out", revokedAt: new Date(NOW + 1) });
    expect(endedSession(ended, "revocation", NOW + 2)).toBe(ended);
  });
});

it("gives authority over a session to those that are above it, and to root keys of its namespace", () => {
  const [root] = keyUntil();
  const sub = newSubKey([root], { name: "sub", scopes: ALL_SCOPES, expiresAt: undefined }, "rp_live_y", NOW);
  const sibling = newSubKey([root], { name: "sibling", scopes: ALL_SCOPES, expiresAt: undefined }, "rp_live_z", NOW);
  const [first, operator] = operatorUntil();
  const byKey = ({ id, lineage }: typeof root): SessionCaller => ({
    kind: "key",
    namespaceId: owner.namespaceId,
    keyId: id,
    lineage,
    lookupId: "",
    scopes: ALL_SCOPES,
  });
  const byOperator = ({ id }: typeof first): SessionCaller => ({
    kind: "operator",
    operatorId: id,
    accountId: undefined,
    lookupId: "",
    scopes: first.scopes,
  });
  const ofSub = { key: [root, sub], operator: undefined } as const;
  const ofOperator = { key: consoleKey(), operator: [first, operator!] } as const;
  const allows = (...[caller, lineages]: Parameters<typeof requireSessionAuthority>): boolean => {
    try {
      requireSessionAuthority(caller, lineages);
      return true;
    } catch {
      return false;
    }
  };
  expect([root, sub, sibling].map((key) => allows(byKey(key), ofSub))).toEqual([true, true, false]);
  expect([root, sub].map((key) => allows(byKey(key), ofOperator))).toEqual([true, false]);
  expect([first, operator!].map((each) => allows(byOperator(each), ofOperator))).toEqual([true, true]);
  const other = operatorUntil();
  expect(allows(byOperator(other[1]!), ofOperator)).toBe(false);
  expect(allows(byOperator(other[1]!), ofSub)).toBe(true);
});
