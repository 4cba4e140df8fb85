import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AuthUnderTest, startAuthUnderTest } from "./auth-under-test.ts";
import { mintRoot, sequences } from "./key-commands.ts";
import { KeyModel } from "./key-model.ts";

/** Number of sequences: `ROUTEPLANE_MODEL_RUNS`, without a time limit; by default as many as fit into the suite. */
const CONFIGURED_RUNS = process.env["ROUTEPLANE_MODEL_RUNS"];
const RUNS = Number(CONFIGURED_RUNS ?? 60);
const LIMIT = CONFIGURED_RUNS === undefined ? { interruptAfterTimeLimit: 6_000 } : {};

let auth: AuthUnderTest;
beforeAll(async () => {
  auth = await startAuthUnderTest();
});
afterAll(() => auth.stop());

let worlds = 0;

/** A model with two new namespaces, of which the first has two root keys. */
async function newWorld(): Promise<KeyModel> {
  worlds += 1;
  const keys = new KeyModel();
  const all = ["inference:*", "keys:*", "namespace:*", "policy:*", "usage:*"];
  for (const [name, roots] of [
    [`a${worlds}`, [all, ["keys:*", "policy:read", "usage:read"]]],
    [`b${worlds}`, [all]],
  ] as const) {
    const { namespace } = await auth.as(auth.operatorToken).namespaces.createNamespace({ name });
    for (const scopes of roots) await mintRoot(keys, auth, namespace?.id ?? "", scopes);
  }
  return keys;
}

it(
  "no key exceeds a key above it, reaches another namespace or outlives its expiry, over random sequences of calls",
  { timeout: 60_000 + RUNS * 2_000 },
  async ({ annotate }) => {
    let steps = 0;
    const started = performance.now();
    const property = fc.asyncProperty(sequences, async (commands) => {
      const model = await newWorld();
      await fc.asyncModelRun(() => ({ model, real: auth }), commands);
      steps += [...commands].length;
    });
    await fc.assert(property, { numRuns: RUNS, ...LIMIT });
    expect(steps).toBeGreaterThan(worlds);
    await annotate(`${worlds} sequences, ${steps} steps, ${Math.round(performance.now() - started)} ms`);
  },
);
