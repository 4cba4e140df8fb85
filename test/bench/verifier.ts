import { once } from "node:events";
import { loadavg } from "node:os";
import { createClient, type Verifier, verifier } from "@routeplane/client";
import { eventually } from "@routeplane/testing";
import { startNode, type TestNode } from "../harness/node.ts";
import { serviceAccessOf } from "../harness/service-access.ts";
import { median, printTimes } from "./times.ts";

/**
 * Measures verifications by `@routeplane/client` in one process while its cache is warm, beside an empty asynchronous function. The two
 * alternate in turns of half a second, one call after the other. Each figure is the median of the turns; the middle half of them is shown too.
 * Also measures the time until the verifier refuses a revoked key.
 */

const KEYS = 1_000;
const ROUNDS = 11;
const MEASURE_MS = 500;
/** Calls between two looks at the clock. */
const BATCH = 100;
const REVOCATIONS = Number(process.env["REVOCATIONS"] ?? 200);
const SCOPE = { scope: "inference:invoke" };

interface Target {
  readonly name: string;
  readonly call: (token: string) => unknown;
  readonly tokens: readonly string[];
}

async function main(): Promise<void> {
  const node = await startNode();
  const { authUrl, serviceCredential } = await serviceAccessOf(node);
  const keys = verifier({ url: authUrl, serviceCredential });
  try {
    const tokens = await mintTokens(node);
    await eventually(() => keys.isLive());
    for (const token of tokens) await keys.verify(token);
    const targets = targetsOf(keys, tokens);
    const results = new Map<Target, number[]>(targets.map((target) => [target, []]));
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [target, own] of results) {
        const perSecond = await measure(target);
        // The first round is a warm-up.
        if (round > 0) own.push(perSecond);
      }
    }
    print(results);
    printTimes(`refused after RevokeKey was sent (${REVOCATIONS})`, await revocationTimes(node, keys));
  } finally {
    await keys.stop();
    await node.remove();
  }
}

async function mintTokens(node: TestNode): Promise<readonly string[]> {
  const { keys } = createClient({ url: node.url, apiKey: await node.apiKey() });
  const tokens: string[] = [];
  for (let index = 0; index < KEYS; index++) {
    const { token } = await keys.mintKey({ name: `key ${index}`, scopes: ["inference:invoke"] });
    tokens.push(token);
  }
  return tokens;
}

/** Milliseconds from sending a revocation of a key that was just verified until the verifier refuses the key. */
async function revocationTimes(node: TestNode, verifier: Verifier): Promise<number[]> {
  const { keys } = createClient({ url: node.url, apiKey: await node.apiKey() });
  const times: number[] = [];
  for (let count = 0; count < REVOCATIONS; count++) {
    const { key, token } = await keys.mintKey({ name: `revoked ${count}`, scopes: ["inference:invoke"] });
    const { signal, release } = await verifier.subscribe({ authorization: `Bearer ${token}` });
    const ended = once(signal, "abort");
    const startedAt = performance.now();
    await Promise.all([
      keys.revokeKey({ id: key?.id ?? "" }),
      ended.then(() => times.push(performance.now() - startedAt)),
    ]);
    release();
  }
  return times;
}

function targetsOf(keys: Verifier, tokens: readonly string[]): readonly Target[] {
  const [first = ""] = tokens;
  const headersOf = (token: string) => ({ host: "localhost", authorization: `Bearer ${token}` });
  const subscribe = async (token: string): Promise<void> => (await keys.subscribe(headersOf(token), SCOPE)).release();
  return [
    { name: "empty asynchronous function", call: async (token) => token, tokens: [first] },
    { name: "verify, 1 key", call: (token) => keys.verify(token), tokens: [first] },
    { name: `verify, ${KEYS} keys`, call: (token) => keys.verify(token), tokens },
    {
      name: `authenticate with a scope, ${KEYS} keys`,
      call: (token) => keys.authenticate(headersOf(token), SCOPE),
      tokens,
    },
    { name: `subscribe and release, ${KEYS} keys`, call: subscribe, tokens },
  ];
}

/** Calls per second, one after the other. */
async function measure({ call, tokens }: Target): Promise<number> {
  const startedAt = performance.now();
  let calls = 0;
  for (; performance.now() < startedAt + MEASURE_MS; calls += BATCH) {
    for (let index = 0; index < BATCH; index++) await call(tokens[(calls + index) % tokens.length] ?? "");
  }
  return (calls * 1_000) / (performance.now() - startedAt);
}

function print(results: ReadonlyMap<Target, readonly number[]>): void {
  const count = (value: number): string => Math.round(value).toLocaleString("en").padStart(11);
  for (const [{ name }, own] of results) {
    const sorted = own.toSorted((left, right) => left - right);
    const quartile = (share: number): string => count(sorted[Math.round((sorted.length - 1) * share)] ?? 0).trim();
    const perCall = `${(1e6 / median(own)).toFixed(2)} us`;
    process.stdout.write(
      `${name.padEnd(38)}${count(median(own))} per second (${quartile(0.25)} to ${quartile(0.75)})   ${perCall} each\n`,
    );
  }
  process.stdout.write(`load average of the last minute: ${loadavg()[0]?.toFixed(1)}\n`);
}

await main();
