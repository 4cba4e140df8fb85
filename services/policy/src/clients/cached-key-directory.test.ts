import { newId } from "@routeplane/domain";
import { beforeEach, expect, it } from "vitest";
import { cachedKeyDirectory } from "./cached-key-directory.ts";

const [namespaceId, keyId] = [newId("ns"), newId("key")];
const feed = { live: true, sequence: 1n };
const auth = { reads: 0, revoked: false, during: () => {} };
beforeEach(() => {
  Object.assign(feed, { live: true, sequence: 1n });
  Object.assign(auth, { reads: 0, revoked: false, during: () => {} });
});

const directory = () =>
  cachedKeyDirectory(
    {
      async find(namespace, key) {
        auth.reads++;
        const read =
          namespace === namespaceId && key === keyId ? { revoked: auth.revoked, lineage: [keyId] } : undefined;
        auth.during();
        return read;
      },
    },
    { isLive: () => feed.live, lastSequence: () => feed.sequence },
  );

it("reads a key once while nothing changes, and again after every change", async () => {
  const keys = directory();
  for (let count = 0; count < 3; count++) expect(await keys.find(namespaceId, keyId)).toMatchObject({ revoked: false });
  expect(auth.reads).toBe(1);
  auth.revoked = true;
  feed.sequence = 2n;
  expect(await keys.find(namespaceId, keyId)).toMatchObject({ revoked: true });
  expect(auth.reads).toBe(2);
});

it("does not keep a key if a change arrived while it was read", async () => {
  const keys = directory();
  auth.during = () => {
    feed.sequence = 2n;
    auth.revoked = true;
  };
  expect(await keys.find(namespaceId, keyId)).toMatchObject({ revoked: false });
  expect(await keys.find(namespaceId, keyId)).toMatchObject({ revoked: true });
});

it("keeps nothing while the change feed is not live, and never an unknown key", async () => {
  const keys = directory();
  await keys.find(namespaceId, newId("key"));
  await keys.find(namespaceId, keyId);
  feed.live = false;
  await keys.find(namespaceId, keyId);
  await keys.find(namespaceId, keyId);
  expect(auth.reads).toBe(4);
});
