import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { askConsole, type ConsoleAddress, signInAt } from "../fleet/console-client.ts";
import { canMountHosts } from "../fleet/hosts.ts";
import { type Canary, canary, canariesIn, searchDatabase } from "../harness/canaries.ts";
import { type NodeOfFiles, ROLES, startNodeOfFiles } from "./node-of-files.ts";
import type { Rotation } from "./rotation.ts";
import { type LoadCredentials, rotationsOf } from "./rotations.ts";

/** Full form: `npm run rotation`, two processes of each role, one rotation after the other. In short, all of them at once. */
const IS_FULL = process.env["ROUTEPLANE_ROTATION"] === "full";
const REPLICAS = IS_FULL ? 2 : 1;
const LOAD = IS_FULL ? { perSecond: 50, maxRunning: 12 } : { perSecond: 20, maxRunning: 4 };
const BEFORE_MS = IS_FULL ? 2_000 : 500;
/** Rotations that exclude each other, or that wait for a grace, are only in the full form. */
const FULL_ONLY: ReadonlySet<string> = new Set(["passwords of the database", "operator credential"]);
const TIMEOUT_MS = 20_000;
const TICK_MS = 20;

describe.skipIf(!canMountHosts())("every secret of a node", () => {
  let node: NodeOfFiles;
  let credentials: LoadCredentials;
  let rotations: readonly Rotation[];
  /** Former and present secrets. */
  const secrets = new Map<string, Canary>();
  let answered = 0;

  const collectSecrets = (): void => {
    const all = ROLES.flatMap((role) =>
      Object.entries(node.secretsOf(role)).map(([name, value]) => [`${role} ${name}`, value] as const),
    );
    for (const [name, value] of [
      ...all,
      ["operator", credentials.operatorToken] as const,
      ["key", node.apiKey] as const,
      ["cookie", credentials.cookie.slice(credentials.cookie.indexOf(".") + 1)] as const,
    ])
      for (const text of partsOf(name, value)) secrets.set(text, canary(name, text));
  };

  beforeAll(async () => {
    node = await startNodeOfFiles(REPLICAS);
    const [first] = node.consoles as [ConsoleAddress];
    credentials = { operatorToken: node.operatorToken, cookie: await signInAt(first, node.apiKey) };
    rotations = rotationsOf(node, credentials).filter(({ name }) => IS_FULL || !FULL_ONLY.has(name));
    collectSecrets();
  }, 180_000);
  afterAll(async () => {
    expect(await node?.stop()).toEqual([]);
  }, 90_000);

  /** Runs `work` while requests are sent: inference, and calls that are relayed for a key and for an operator. */
  async function underLoad(work: () => Promise<void>): Promise<void> {
    const failures: string[] = [];
    const running = new Set<Promise<void>>();
    const before = answered;
    const stopping = new AbortController();
    const sendToConsole = async (n: number): Promise<void> => {
      const at = node.consoles[n % node.consoles.length] ?? { address: "", port: 0 };
      const { cookie } = credentials;
      try {
        const { status, body } = await askConsole(at, "GET", "/session", { cookie });
        // The cookie may have been replaced, and its key retired, while the request was on its way.
        if (status !== 200 && cookie === credentials.cookie) failures.push(`console: ${status} ${body}`);
      } catch (error) {
        failures.push(`console: ${String(error)}`);
      }
    };
    const send = async (n: number): Promise<void> => {
      if (n % 4 === 3) return sendToConsole(n >> 2);
      const kind = n % 3;
      const [path, token] =
        kind === 0
          ? ["/v1/chat/completions", node.apiKey]
          : ["/routeplane.auth.v1.IdentityService/WhoAmI", kind === 1 ? node.apiKey : credentials.operatorToken];
      const body =
        kind === 0 ? { model: "rotated", max_tokens: 8, messages: [{ role: "user", content: "hello" }] } : {};
      try {
        const response = await fetch(`${node.gatewayUrls[n % node.gatewayUrls.length]}${path}`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const text = await response.text();
        if (response.status === 200) answered += kind === 0 ? 1 : 0;
        else failures.push(`${path}: ${response.status} ${text}`);
      } catch (error) {
        failures.push(`${path}: ${String(error)}`);
      }
    };
    let sent = 0;
    const sending = (async () => {
      let due = 0;
      for (let last = performance.now(); !stopping.signal.aborted; await delay(TICK_MS)) {
        const now = performance.now();
        due = Math.min(due + ((now - last) / 1_000) * LOAD.perSecond, LOAD.perSecond);
        last = now;
        for (; due >= 1 && running.size < LOAD.maxRunning; due--) {
          const request = send(sent++);
          running.add(request);
          void request.finally(() => running.delete(request));
        }
      }
    })();
    try {
      await delay(BEFORE_MS);
      await work();
      await delay(BEFORE_MS);
    } finally {
      stopping.abort();
      await sending;
      await Promise.all(running);
      process.stdout.write(`${expect.getState().currentTestName}: ${sent} requests, ${failures.length} failed\n`);
    }
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(before);
  }

  async function rotate(all: readonly Rotation[]): Promise<void> {
    const each = async (step: (rotation: Rotation) => Promise<void>): Promise<void> => {
      await Promise.all(
        all.map((rotation) =>
          step(rotation).catch((cause: unknown) => {
            throw new Error(`${rotation.name}: ${String(cause)}`, { cause });
          }),
        ),
      );
      collectSecrets();
    };
    await each((rotation) => rotation.admit());
    await each((rotation) => rotation.use());
    await each((rotation) => rotation.retire());
    await each((rotation) => rotation.prove());
  }

  it("is in use by a node that serves every request", () => underLoad(() => delay(BEFORE_MS)));

  if (IS_FULL) {
    for (const name of [
      "service tokens",
      "roles of the database",
      "passwords of the database",
      "users of NATS",
      "keys of providers",
      "certificates and their authority",
      "peppers",
      "keys of session cookies",
      "operator credential",
    ]) {
      it(`is replaced under load without a failed request: ${name}`, () =>
        underLoad(() => rotate(rotations.filter((rotation) => rotation.name === name))));
    }
  } else {
    it("is replaced under load without a failed request", () => underLoad(() => rotate(rotations)));
  }

  it("is kept while its file cannot be used, and no request fails", () =>
    underLoad(async () => {
      const ofAuth = { ROUTEPLANE_DATABASE_URL: "", ROUTEPLANE_SERVICE_CREDENTIALS: "canary" };
      const spoiled = { auth: ofAuth, gateway: { ROUTEPLANE_SERVICE_TOKEN: " \n", ROTATED_KEY: "x".repeat(70_000) } };
      const kept = Object.fromEntries(
        (["auth", "gateway"] as const).map((role) => [
          role,
          Object.fromEntries(Object.keys(spoiled[role]).map((name) => [name, node.secretsOf(role)[name] ?? ""])),
        ]),
      );
      await node.replace(spoiled, "the former value stays");
      await node.replace(kept, "is valid again");
    }));

  it("is in no log, metric, health answer, command line, event or row, before and after its replacement", async () => {
    await eventually(async () => {
      const { rows } = await node.admin.query<{ count: string }>("select count(*) from usage.requests");
      return Number(rows[0]?.count) === answered;
    });
    const canaries = [...secrets.values()];
    const hits: string[] = [];
    for (const [index, { role, pid, output }] of node.processes.entries()) {
      hits.push(...canariesIn(`the log of ${role}`, output(), canaries));
      for (const path of ["metrics", "healthz", "readyz", "livez"]) {
        const answer = await fetch(`${node.operationsUrls[index]}/${path}`);
        hits.push(...canariesIn(`/${path} of ${role}`, await answer.text(), canaries));
      }
      for (const file of ["cmdline", "environ"])
        hits.push(...canariesIn(`${file} of ${role}`, await readFile(`/proc/${pid}/${file}`), canaries));
    }
    const database = await searchDatabase(node.database.adminUrl, canaries);
    expect([...new Set([...hits, ...database.hits])]).toEqual([]);
    expect(canaries.length).toBeGreaterThan(30);
  });
});

/** Texts of a secret that must not be found: the password of a URL, the body of a key, the token itself. Certificates are public. */
function partsOf(name: string, value: string): readonly string[] {
  if (/_TLS_(CERT|CA)$|_CREDENTIALS$/.test(name)) return [];
  if (name.endsWith("_TLS_KEY")) return [value.split("\n")[1] ?? ""];
  const { password = "" } = URL.parse(value) ?? {};
  if (password !== "") return [decodeURIComponent(password)];
  return value.split(",").map((text) => text.replace(/^[pk]\d:/, ""));
}
