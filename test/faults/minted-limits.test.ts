import { eventually } from "@routeplane/testing";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { superuserUrl } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type NamespaceKeys, newNamespace } from "../harness/policies.ts";

/** Tests of mints with limits whose processes are killed between any two steps. */

const KILLS = process.env["ROUTEPLANE_FAULTS"] === "full" ? 25 : 2;

let node: TestNode;
let own: NamespaceKeys;
let admin: pg.Client;
beforeAll(async () => {
  node = await startNode();
  own = await newNamespace(node, "limited");
  admin = new pg.Client({ connectionString: await superuserUrl(node.home) });
  await admin.connect();
}, 120_000);
afterAll(async () => {
  await admin?.end();
  await node?.remove();
});

interface Minted {
  readonly key: { readonly id: string };
  readonly token: string;
}

/** Mints a key with a budget. @returns undefined if the mint failed */
async function mint(name: string): Promise<Minted | undefined> {
  const limits = { budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: "5000000" } };
  const response = await fetch(`${node.url}/routeplane.auth.v1.KeyService/MintKey`, {
    method: "POST",
    headers: { authorization: `Bearer ${own.root.token}`, "content-type": "application/json" },
    body: JSON.stringify({ name, scopes: ["inference:invoke"], limits }),
    signal: AbortSignal.timeout(20_000),
  }).catch(() => undefined);
  return response?.ok === true ? ((await response.json()) as Minted) : undefined;
}

const column = async (query: string): Promise<readonly string[]> =>
  (await admin.query<{ id: string }>(query)).rows.map(({ id }) => id);
const keysWithoutLimits = () =>
  column(`select id from auth.keys where cardinality(lineage) > 1
    and not exists (select from policy.bindings b where b.principal_id = keys.id)`);
const presetsWithoutKey = () =>
  column(`select id from policy.policies where minted_for is not null
    and not exists (select from auth.keys k where k.id = minted_for[cardinality(minted_for)])`);

/** Ends the minute of every mint in progress, and waits until nothing is left of mints without a key. */
async function expectNoRest(): Promise<void> {
  await admin.query("update auth.limited_keys set ends_at = now() where minted_at is null and ended_at is null");
  await eventually(async () => (await presetsWithoutKey()).length === 0);
}

it(
  "a key whose auth process is killed while its limits are bound never exists, and nothing is left",
  { timeout: 180_000 },
  async () => {
    let minting: Promise<Minted | undefined> = Promise.resolve(undefined);
    await node.whileSuspended("policy", async () => {
      minting = mint("killed");
      await eventually(async () => (await column("select key_id as id from auth.limited_keys")).length === 1);
      await node.kill("auth");
    });
    expect(await minting).toBeUndefined();
    // The suspended policy process resumes the call, and may still bind the limits.
    await node.healthy();
    expect(await column("select id from auth.keys where name = 'killed'")).toEqual([]);
    await expectNoRest();
  },
);

it.each(["auth", "policy"])(
  "no key exists without its limits whenever %s is killed",
  { timeout: 180_000 + KILLS * 60_000 },
  async (role) => {
    const minted: Minted[] = [];
    const over = new AbortController();
    const load = Array.from({ length: 4 }, async (_, worker) => {
      for (let count = 0; !over.signal.aborted; count++) {
        const key = await mint(`${role} ${worker} ${count}`);
        if (key !== undefined) minted.push(key);
      }
    });
    for (let kill = 0; kill < KILLS; kill++) {
      const before = minted.length;
      await eventually(() => minted.length > before + 5);
      await node.kill(role);
    }
    over.abort();
    await Promise.all(load);
    await node.healthy();
    expect(minted.length).toBeGreaterThan(5 * KILLS);
    expect(await keysWithoutLimits()).toEqual([]);
    await expectNoRest();
    expect(await keysWithoutLimits()).toEqual([]);
  },
);
