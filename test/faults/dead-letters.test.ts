import { rm } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { cliJson } from "../harness/gateway.ts";
import { type CountedNode, NO_DIFFERENCES, reconcile, startCountedNode } from "./counted-node.ts";
import { type Ledger, openLedger } from "./ledger.ts";
import { whileAway } from "./while-away.ts";

/**
 * Tests of usage events that the request log refuses permanently, of requests admitted on slices, and of their replay. A constraint in
 * Postgres refuses those of every third request. Runs only in full, by `npm run faults`.
 */

const isFull = process.env["ROUTEPLANE_FAULTS"] === "full";
const COUNT = 12;
const REFUSED = [3, 6, 9, 12];

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

let counted: CountedNode;
let ledger: Ledger | undefined;

async function send(n: number, token: string): Promise<void> {
  const response = await fetch(`${counted.node.urls[1]}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "counted", max_tokens: n, messages: [{ role: "user", content: "count this" }] }),
  });
  expect([response.status, await response.text()]).toEqual([200, expect.stringContaining("counted")]);
}

/** Sends requests 1 to 12 to the second gateway, whose slices are warm. */
async function sendAll(token: string): Promise<{ readonly count: number; readonly answered: ReadonlySet<number> }> {
  const numbers = Array.from({ length: COUNT }, (_, index) => index + 1);
  await Promise.all(numbers.map((n) => send(n, token)));
  return { count: COUNT, answered: new Set(numbers) };
}

async function heldLetters(): Promise<readonly { readonly id: string }[]> {
  const list = ["admin", "dead-letters", "list", "--state", "held"];
  return (await cliJson<{ data: readonly { id: string }[] }>(counted.node, ...list)).data;
}

/** Makes the log refuse rows of this kind, of which it has none. */
async function refuse(condition: string): Promise<void> {
  await ledger?.execute(`alter table usage.requests add constraint refused check (not (${condition}))`);
}

/** Makes the log accept these rows, and replays all dead letters. */
async function replayAll(): Promise<void> {
  await ledger?.execute("alter table usage.requests drop constraint refused");
  for (const { id } of await heldLetters()) await cliJson(counted.node, "admin", "dead-letters", "replay", id);
}

async function expectAgreement(sent: Awaited<ReturnType<typeof sendAll>>): Promise<void> {
  const faults = async () => (await ledger?.faults(counted.upstream, sent)) ?? [];
  await eventually(async () => (await faults()).length === 0).catch(() => {});
  expect(await faults()).toEqual([]);
  expect(await counted.reconciled(60_000)).toEqual(NO_DIFFERENCES);
}

describe.runIf(isFull)("of requests on slices", () => {
  beforeAll(async () => {
    counted = await startCountedNode({ gateways: 2 });
  });
  afterEach(async () => {
    await ledger?.execute("alter table usage.requests drop constraint if exists refused");
    await ledger?.close();
    ledger = undefined;
  });
  afterAll(() => counted?.remove());

  it.each([
    ["every event", "reserved_nano_usd % 3000 = 0"],
    ["the settlement", "reserved_nano_usd % 3000 = 0 and status <> 'pending'"],
  ])("%s of a request is refused: its charge stands, and its replay gives it its row", async (name, condition) => {
    const { upstream } = counted;
    upstream.reset();
    const key = await counted.budgetedKey(name, 1_000_000_000);
    ledger = await openLedger(counted.node, key.id, true);
    await refuse(`key_id = '${key.id}' and ${condition}`);
    const sent = await sendAll(key.token);
    const spent = (COUNT * (COUNT + 1)) / 2;
    await eventually(async () => (await key.use()).spent_micro_usd === spent);
    await eventually(async () => (await heldLetters()).length >= REFUSED.length);
    const { charges } = (await reconcile(counted.node)).found;
    const ofSettled = name === "the settlement" ? "pending" : null;
    for (const charge of charges)
      expect([null, ofSettled]).toContain((charge as { readonly request_status: string | null }).request_status);
    await replayAll();
    await expectAgreement(sent);
    expect((await key.use()).spent_micro_usd).toBe(spent);
  });

  it("a request of a session that was settled without it is charged by its replay, once", async () => {
    const { node } = counted;
    const key = await counted.budgetedKey("lost", 1_000_000_000);
    ledger = await openLedger(node, key.id, true);
    await refuse(`key_id = '${key.id}' and reserved_nano_usd in (${REFUSED.map((n) => n * 1_000).join(", ")})`);
    // Unused slices are returned after 3 s: these requests leave enough of them for the later ones.
    for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 8 }, () => send(1_000, key.token)));
    // Nothing is reported, and the spool is lost: only the log knows the requests, and some are missing there.
    await whileAway(node, "policy", "killed", async () => {
      await sendAll(key.token);
      await eventually(async () => (await heldLetters()).length >= REFUSED.length);
      await rm(join(node.home, "spool", "gateway-2"), { recursive: true });
      process.kill((await node.pid("gateway-2")) ?? 0, "SIGKILL");
    });
    await node.healthy();
    await eventually(async () => (await key.use()).leased_micro_usd === 0, 120_000);
    const refused = REFUSED.reduce((sum, n) => sum + n, 0);
    const spent = 40_000 + (COUNT * (COUNT + 1)) / 2;
    expect((await key.use()).spent_micro_usd).toBe(spent - refused);
    await replayAll();
    await eventually(async () => (await heldLetters()).length === 0);
    // Reconciliation reads the log again.
    await eventually(async () => {
      await reconcile(node);
      return (await key.use()).spent_micro_usd === spent;
    }, 60_000);
    expect(await counted.reconciled(60_000)).toEqual(NO_DIFFERENCES);
    expect((await key.use()).spent_micro_usd).toBe(spent);
  });
});
