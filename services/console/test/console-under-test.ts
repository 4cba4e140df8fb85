import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as open } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { constant, createLogger, readEnvironment, readTrustedProxies } from "@routeplane/runtime";
import { onTestFinished } from "vitest";
import { wireConsole } from "../src/app.ts";
import { parseSealKeys, type SealKeys } from "../src/domain/seal-keys.ts";
import { loadAppFiles } from "../src/handlers/app-files.ts";
import { startHttpServer } from "../src/handlers/http-server.ts";
import { CONSOLE_TOKEN, type FakeServices, startFakeServices } from "./fake-services.ts";

export interface ConsoleOptions {
  readonly services?: FakeServices;
  /** Addresses of services that differ from those of `services`. */
  readonly urls?: { readonly authUrl?: string; readonly policyUrl?: string; readonly usageUrl?: string };
  readonly sealKeys?: SealKeys;
  readonly publicOrigin?: string;
  /** Ranges of trusted proxies; none by default. */
  readonly proxies?: string;
  readonly clock?: () => number;
  readonly log?: ReturnType<typeof createLogger>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export type Request = (
  method: string,
  path: string,
  options?: { readonly headers?: Readonly<Record<string, string>>; readonly body?: string },
) => Promise<Answer>;

/** Headers of the page's own calls. */
export const PAGE = { "x-routeplane-console": "1", "content-type": "application/json" } as const;

export const APP = {
  "index.html": "<!doctype html><title>Routeplane</title>",
  "icon.svg": "<svg/>",
  "assets/index-abc.js": `console.log(${JSON.stringify("x".repeat(4_000))});`,
};

export function newSealKeys(...ids: string[]): SealKeys {
  const keys = parseSealKeys(ids.map((id) => `${id}:${randomBytes(32).toString("base64url")}`).join(","));
  if (keys === undefined) throw new Error("the keys are malformed");
  return keys;
}

/** Writes an app of a few files, which is deleted when the test ends. @returns its folder */
export function writeApp(files: Readonly<Record<string, string>> = APP): string {
  const folder = mkdtempSync(join(tmpdir(), "routeplane-app-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "assets"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** Starts a console in this process, which is stopped when the test ends. */
export async function startConsoleUnderTest(options: ConsoleOptions = {}) {
  const services = options.services ?? (await startFakeServices());
  const log = options.log ?? createLogger("console", (line) => line, "silent");
  const { publicOrigin, sealKeys = newSealKeys("k1"), clock = Date.now } = options;
  const wired = wireConsole({
    config: {
      serviceToken: constant(CONSOLE_TOKEN),
      tls: undefined,
      authUrl: services.url,
      policyUrl: services.url,
      usageUrl: services.url,
      ...options.urls,
      sealKeys: constant(sealKeys),
      publicOrigin: publicOrigin === undefined ? undefined : new URL(publicOrigin),
      ...readEnvironment({ ROUTEPLANE_TRUSTED_PROXIES: options.proxies }, (env) => ({
        trustedProxies: readTrustedProxies(env),
      })),
      gatewayUrl: "http://127.0.0.1:8080",
    },
    files: await loadAppFiles(writeApp()),
    log,
    clock,
  });
  const server = await startHttpServer({ host: "127.0.0.1", port: 0, ...wired });
  onTestFinished(async () => {
    await server.stop();
    for (const component of wired.components) await component.stop();
  });
  const { port } = server;
  const request = requestTo(port);

  /** Signs in. @returns the header with the cookie */
  const signIn = async (): Promise<{ readonly cookie: string }> => {
    const { status, headers } = await request("POST", "/session", {
      headers: PAGE,
      body: JSON.stringify({ token: services.apiKey }),
    });
    if (status !== 200) throw new Error(`the sign-in was answered with ${status}`);
    return { cookie: String(headers["set-cookie"]).split(";", 1)[0] ?? "" };
  };
  return { services, server, port, request, signIn };
}

/** Sends requests unchanged, without a client that would add, resolve or refuse anything. */
function requestTo(port: number): Request {
  return (method, path, { headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const options = {
        host: "127.0.0.1",
        port,
        method,
        path,
        headers: { host: `127.0.0.1:${port}`, ...headers },
        agent: false,
      };
      const sent = open(options, (response) => {
        text(response).then(
          (content) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: content }),
          reject,
        );
      });
      sent.on("error", reject).end(body);
    });
}
