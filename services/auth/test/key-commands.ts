import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { VerifiedKey } from "@routeplane/contracts/auth";
import { mintToken } from "@routeplane/credentials";
import fc from "fast-check";
import { expect } from "vitest";
import { type AuthUnderTest, GATEWAY_TOKEN } from "./auth-under-test.ts";
import * as model from "./key-model.ts";
import type { Fault, Faults, KeyModel, ModelKey } from "./key-model.ts";

const CODES: Record<Fault, Code> = {
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  invalid: Code.InvalidArgument,
  not_found: Code.NotFound,
  too_deep: Code.FailedPrecondition,
  conflict: Code.FailedPrecondition,
};

type Command = fc.AsyncCommand<KeyModel, AuthUnderTest>;

/** An action on the service, after which the whole service is compared with the model. */
function command(text: string, action: (keys: KeyModel, auth: AuthUnderTest) => Promise<void>): Command {
  return {
    check: () => true,
    toString: () => text,
    async run(keys, auth) {
      await action(keys, auth);
      await expectEqualToModel(keys, auth);
    },
  };
}

/** Requires that a call fails with one of the faults, or succeeds without any. @returns its response, undefined if it failed */
async function expected<T>(faults: Faults, call: Promise<T>): Promise<T | undefined> {
  const response = await call.then(
    (value) => ({ value }),
    (error: unknown) => ({ code: ConnectError.from(error).code }),
  );
  const codes = [...faults].map((fault) => CODES[fault]);
  if ("code" in response) expect(codes, "codes with which the call may be refused").toContain(response.code);
  else expect(codes, "must be refused").toEqual([]);
  return "value" in response ? response.value : undefined;
}

const tokenOf = (key: ModelKey): string => key.tokens.at(-1)?.text ?? "";
const seed = fc.nat({ max: 1000 });
const scopes = fc.uniqueArray(fc.constantFrom(...model.SCOPES), { maxLength: 6 });
/** Scopes that include `keys:*`, so that a lineage can grow. */
const minterScopes = scopes.map((some) => [...new Set([...some, "keys:*"])]);
const HOUR_MS = 3_600_000;
/** Lifetimes from the past to later than any expiry; few values, so that bounds are met exactly and missed by one. */
const lifetimeMs = fc.option(fc.constantFrom(-1, 0, 1, HOUR_MS - 1, HOUR_MS, HOUR_MS + 1, 2 * HOUR_MS), {
  nil: undefined,
});
const WEEK_SECS = 7 * 86_400;
const graceSecs = fc.constantFrom(0, 1, 3600, WEEK_SECS, WEEK_SECS + 1, -1);

/** The faults of the first step that has any. */
function firstOf(...steps: readonly (() => Faults)[]): Faults {
  for (const step of steps) {
    const faults = step();
    if (faults.size > 0) return faults;
  }
  return new Set();
}

export async function mintRoot(keys: KeyModel, auth: AuthUnderTest, namespaceId: string, granted: readonly string[]) {
  const { id, token } = await auth.rootKey(namespaceId, granted);
  const tokens = [{ text: token, worksUntil: Infinity }];
  keys.keys.push({ id, namespaceId, parent: undefined, scopes: granted, expiresAt: Infinity, revoked: false, tokens });
}

const mint = fc
  .tuple(seed, fc.oneof({ weight: 3, arbitrary: minterScopes }, scopes), lifetimeMs)
  .map(([actorSeed, requested, lifetime]) =>
    command(`mint by ${actorSeed} of [${requested.join(" ")}] for ${lifetime} ms`, async (keys, auth) => {
      const parent = keys.actor(actorSeed, auth.time.now);
      const expiresAt = lifetime === undefined ? undefined : auth.time.now + lifetime;
      const faults = model.faultsOfMint(parent, { scopes: requested, expiresAt }, auth.time.now);
      const request = { name: "sub", scopes: requested, ...(expiresAt && { expiresAt: timestampFromMs(expiresAt) }) };
      const minted = await expected(faults, auth.as(tokenOf(parent)).keys.mintKey(request));
      if (minted === undefined) return;
      keys.keys.push({
        id: minted.key?.id ?? "",
        namespaceId: parent.namespaceId,
        parent,
        scopes: requested,
        expiresAt: expiresAt ?? model.expiry(parent),
        revoked: false,
        tokens: [{ text: minted.token, worksUntil: Infinity }],
      });
    }),
  );

const update = fc
  .tuple(seed, seed, fc.option(minterScopes, { nil: undefined }), lifetimeMs)
  .map(([actorSeed, targetSeed, to, lifetime]) =>
    command(`update ${targetSeed} by ${actorSeed} to [${to?.join(" ")}] for ${lifetime} ms`, async (keys, auth) => {
      const { now } = auth.time;
      const actor = keys.actor(actorSeed, now);
      const target = keys.target(targetSeed, actor);
      const expiresAt = lifetime === undefined ? undefined : now + lifetime;
      const faults = firstOf(
        () => model.faultsOfCall(actor, "keys:write", now),
        () => new Set(to === undefined && expiresAt === undefined ? ["invalid"] : []),
        () => model.faultsOfAuthority(actor, target, "change"),
        () => model.faultsOfUpdate(target, { scopes: to, expiresAt }, now),
      );
      const change = { ...(to && { scopes: to }), ...(expiresAt && { expiresAt: timestampFromMs(expiresAt) }) };
      const done = await expected(faults, auth.as(tokenOf(actor)).keys.updateKey({ id: target.id, ...change }));
      if (done === undefined) return;
      target.scopes = to ?? target.scopes;
      target.expiresAt = expiresAt ?? target.expiresAt;
    }),
  );

const rotate = fc.tuple(seed, seed, graceSecs).map(([actorSeed, targetSeed, seconds]) =>
  command(`rotate ${targetSeed} by ${actorSeed}, with ${seconds} s of grace`, async (keys, auth) => {
    const { now } = auth.time;
    const actor = keys.actor(actorSeed, now);
    const target = keys.target(targetSeed, actor);
    const faults = firstOf(
      () => model.faultsOfCall(actor, "keys:write", now),
      () => new Set(seconds < 0 || seconds > WEEK_SECS ? ["invalid"] : []),
      () => model.faultsOfAuthority(actor, target, "rotate"),
      () => new Set(model.isInactive(target, now) ? ["conflict"] : []),
    );
    const request = { id: target.id, grace: { seconds: BigInt(seconds) } };
    const rotated = await expected(faults, auth.as(tokenOf(actor)).keys.rotateKey(request));
    if (rotated === undefined) return;
    for (const [age, token] of target.tokens.toReversed().entries()) {
      // Older tokens keep the grace that they have, unless the new grace is 0.
      if (age === 0 || seconds === 0) token.worksUntil = Math.min(token.worksUntil, now + seconds * 1000);
    }
    target.tokens.push({ text: rotated.token, worksUntil: Infinity });
  }),
);

const revoke = fc.tuple(seed, seed).map(([actorSeed, targetSeed]) =>
  command(`revoke ${targetSeed} by ${actorSeed}`, async (keys, auth) => {
    const actor = keys.actor(actorSeed, auth.time.now);
    const target = keys.target(targetSeed, actor);
    const faults = firstOf(
      () => model.faultsOfCall(actor, "keys:write", auth.time.now),
      () => model.faultsOfAuthority(actor, target, "change"),
    );
    const done = await expected(faults, auth.as(tokenOf(actor)).keys.revokeKey({ id: target.id }));
    if (done !== undefined) target.revoked = true;
  }),
);

const read = fc.tuple(seed, seed).map(([actorSeed, targetSeed]) =>
  command(`read ${targetSeed} by ${actorSeed}`, async (keys, auth) => {
    const actor = keys.actor(actorSeed, auth.time.now);
    const target = keys.target(targetSeed, actor);
    const faults = firstOf(
      () => model.faultsOfCall(actor, "keys:read", auth.time.now),
      () => new Set(target.namespaceId === actor.namespaceId ? [] : ["not_found"]),
    );
    const response = await expected(faults, auth.as(tokenOf(actor)).keys.getKey({ id: target.id }));
    if (response !== undefined) expect(response.key?.id).toBe(target.id);
  }),
);

const list = seed.map((actorSeed) =>
  command(`list by ${actorSeed}`, async (keys, auth) => {
    const actor = keys.actor(actorSeed, auth.time.now);
    const faults = model.faultsOfCall(actor, "keys:read", auth.time.now);
    const response = await expected(faults, auth.as(tokenOf(actor)).keys.listKeys({ pageSize: 1000 }));
    if (response === undefined) return;
    const own = keys.keys.filter(({ namespaceId }) => namespaceId === actor.namespaceId);
    expect(response.keys.map(({ id }) => id).toSorted()).toEqual(own.map(({ id }) => id).toSorted());
  }),
);

/** Tries every kind of call with a replaced token. */
const useReplaced = fc.tuple(seed, seed, seed).map(([actorSeed, tokenSeed, targetSeed]) =>
  command(`use token ${tokenSeed} of ${actorSeed}, which was replaced, on ${targetSeed}`, async (keys, auth) => {
    const { now } = auth.time;
    const replaced = keys.keys.filter(({ tokens }) => tokens.length > 1);
    const actor = replaced[actorSeed % replaced.length];
    const token = actor?.tokens[tokenSeed % (actor.tokens.length - 1)];
    if (actor === undefined || token === undefined) return;
    const target = keys.target(targetSeed, actor);
    const as = auth.as(token.text).keys;
    const isOver = model.isInactive(actor, now) || now >= token.worksUntil;
    const refused: Faults = new Set([isOver ? "unauthenticated" : "permission_denied"]);
    await expected(refused, as.mintKey({ name: "sub", scopes: ["keys:read"] }));
    await expected(refused, as.updateKey({ id: target.id, name: "renamed" }));
    await expected(refused, as.rotateKey({ id: target.id, grace: { seconds: 0n } }));
    await expected(refused, as.revokeKey({ id: target.id }));
    const mayRead = !isOver && model.authority(actor).has("keys:read");
    await expected(mayRead ? new Set() : refused, as.getKey({ id: actor.id }));
  }),
);

/** Verifies a forged token: the lookup id of one token with the secret of another. */
const forge = fc.tuple(seed, seed).map(([actorSeed, secretSeed]) =>
  command(`forge ${actorSeed} with the secret of ${secretSeed}`, async (keys, auth) => {
    const holder = keys.actor(actorSeed, auth.time.now);
    const [one, other] = [tokenOf(holder).split("_"), tokenOf(keys.target(secretSeed, holder)).split("_")];
    const stolen = [...one.slice(0, 3), ...other.slice(3)].join("_");
    for (const token of stolen === one.join("_") ? [mintToken("key")] : [stolen, mintToken("key")]) {
      const { outcome } = await auth.as(GATEWAY_TOKEN).verification.verifyKey({ token });
      expect(outcome.case).toBe("refusal");
    }
  }),
);

const advance = fc.constantFrom(1, 1000, HOUR_MS - 1, HOUR_MS, WEEK_SECS * 1000).map((ms) =>
  command(`${ms} ms pass`, async (_keys, auth) => {
    auth.time.now += ms;
  }),
);

export const sequences = fc.commands(
  [mint, mint, mint, update, rotate, revoke, read, list, useReplaced, forge, advance],
  {
    maxCommands: 30,
    size: "+1",
  },
);

/** Compares every credential with the model: its verification result and its row. */
async function expectEqualToModel({ keys }: KeyModel, auth: AuthUnderTest): Promise<void> {
  const { verification } = auth.as(GATEWAY_TOKEN);
  const verified = new Map<ModelKey, VerifiedKey>();
  const verify = async (key: ModelKey, token: ModelKey["tokens"][number]): Promise<void> => {
    const { outcome } = await verification.verifyKey({ token: token.text });
    const works = !model.isInactive(key, auth.time.now) && auth.time.now < token.worksUntil;
    expect(outcome.case, key.id).toBe(works ? "key" : "refusal");
    if (outcome.case !== "key") return;
    const { expiresAt, graceEndsAt, scopes } = outcome.value;
    if (token.worksUntil === Infinity) verified.set(key, outcome.value);
    else expect(model.grants(scopes)).toEqual(model.authorityOf(key, token));
    expect(graceEndsAt ? timestampMs(graceEndsAt) : Infinity).toBe(token.worksUntil);
    expect(expiresAt ? timestampMs(expiresAt) : Infinity).toBe(Math.min(token.worksUntil, model.expiry(key)));
  };
  await Promise.all(keys.flatMap((key) => key.tokens.map((token) => verify(key, token))));

  for (const [key, { keyId, namespaceId, scopes }] of verified) {
    expect({ keyId, namespaceId }).toEqual({ keyId: key.id, namespaceId: key.namespaceId });
    expect(model.grants(scopes)).toEqual(model.authority(key));
    for (const above of model.lineage(key)) {
      const own = verified.get(above);
      if (own === undefined) expect.fail(`${key.id} works and ${above.id} above it does not`);
      expect(model.grants(scopes).isSubsetOf(model.grants(own.scopes))).toBe(true);
      expect(above.revoked || above.expiresAt <= auth.time.now).toBe(false);
      expect(above.namespaceId).toBe(namespaceId);
    }
  }
  await expectEqualRows(keys, auth);
}

/** Compares the rows of all keys with the model: a refused call has changed nothing. */
async function expectEqualRows(keys: readonly ModelKey[], auth: AuthUnderTest): Promise<void> {
  for (const namespaceId of new Set(keys.map((key) => key.namespaceId))) {
    const rows = await auth.database.within({ namespaceId }, (tx) =>
      tx.selectFrom("keys").select(["id", "scopes", "expires_at", "revoked_at", "parent_id"]).orderBy("id").execute(),
    );
    const stored = rows.map(({ id, scopes, expires_at, revoked_at, parent_id }) => {
      return [id, parent_id, scopes.toSorted(), expires_at?.getTime() ?? Infinity, revoked_at !== null];
    });
    const own = keys.filter((key) => key.namespaceId === namespaceId);
    const expectedRows = own.map(({ id, parent, scopes, expiresAt, revoked }) => {
      return [id, parent?.id ?? null, scopes.toSorted(), expiresAt, revoked];
    });
    expect(stored).toEqual(expectedRows.toSorted(([one], [other]) => (String(one) < String(other) ? -1 : 1)));
  }
}
