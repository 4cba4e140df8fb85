import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseOrigins } from "../src/handlers/cors.ts";
import { type HttpUnderTest, startHttpUnderTest } from "./http-under-test.ts";

const ALLOWED = "https://app.example.com";

let http: HttpUnderTest;
let httpWithoutCors: HttpUnderTest;
beforeAll(async () => {
  http = await startHttpUnderTest([ALLOWED, "http://localhost:3000"]);
  httpWithoutCors = await startHttpUnderTest();
});
afterAll(() => Promise.all([http.stop(), httpWithoutCors.stop()]));

/** CORS headers of an answer. */
function corsHeadersOf({ headers }: Response): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith("access-control-")));
}

const preflight = (url: string, origin: string): Promise<Response> =>
  fetch(url, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    },
  });

describe("a page of an allowed origin", () => {
  it.each(["/ok", "/body", "/unknown", "/routeplane.unknown"])(
    "gets its preflight answered without a key: %s",
    async (path) => {
      const answer = await preflight(http.url + path, ALLOWED);
      expect(answer.status).toBe(204);
      expect(corsHeadersOf(answer)).toMatchObject({
        "access-control-allow-origin": ALLOWED,
        "access-control-allow-methods": "GET, HEAD, POST",
        "access-control-allow-headers": "authorization,content-type,x-stainless-lang",
        "access-control-max-age": "600",
      });
    },
  );

  it.each([
    ["GET", "/ok", 200],
    ["GET", "/refusal", 400],
    ["POST", "/refused", 401],
    ["GET", "/fault", 500],
    ["GET", "/unknown", 404],
    ["DELETE", "/ok", 405],
  ])("can read the answer, and what SDKs read of its headers: %s %s", async (method, path, status) => {
    const answer = await fetch(http.url + path, { method, headers: { origin: ALLOWED } });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("vary")).toBe("Origin");
    const { "access-control-allow-origin": origin, "access-control-expose-headers": exposed } = corsHeadersOf(answer);
    expect(origin).toBe(ALLOWED);
    for (const name of [
      "x-request-id",
      "request-id",
      "x-routeplane-dropped",
      "retry-after",
      "x-should-retry",
      "x-ratelimit-remaining-tokens",
      "x-routeplane-budget-remaining-micro-usd",
    ]) {
      expect(exposed?.split(", ")).toContain(name);
    }
    expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
  });

  it("can read a stream", async () => {
    const answering = fetch(`${http.url}/events`, { headers: { origin: "http://localhost:3000" } });
    const answer = await answering;
    expect(corsHeadersOf(answer)["access-control-allow-origin"]).toBe("http://localhost:3000");
    await expect.poll(() => http.waiting.length).toBe(1);
    http.waiting.splice(0).forEach((proceed) => proceed());
    await answer.text();
  });
});

describe("a page of another origin", () => {
  it.each([
    "https://evil.example",
    "https://app.example.com.evil.example",
    "https://APP.example.com",
    "null",
    `${ALLOWED}:444`,
  ])("gets no leave to read anything: %s", async (origin) => {
    for (const answer of [
      await preflight(`${http.url}/ok`, origin),
      await fetch(`${http.url}/ok`, { headers: { origin } }),
    ]) {
      expect(answer.ok).toBe(true);
      expect(corsHeadersOf(answer)).toEqual({});
      expect(answer.headers.get("vary")).toBe("Origin");
    }
  });
});

describe("without allowed origins", () => {
  it("no answer has CORS headers", async () => {
    for (const answer of [
      await preflight(`${httpWithoutCors.url}/ok`, ALLOWED),
      await fetch(`${httpWithoutCors.url}/ok`, { headers: { origin: ALLOWED } }),
    ]) {
      expect(answer.ok).toBe(true);
      expect(corsHeadersOf(answer)).toEqual({});
      expect(answer.headers.has("vary")).toBe(false);
    }
  });
});

describe("a list of origins", () => {
  it.each<[string, readonly string[] | undefined]>([
    ["", []],
    ["https://a.example", ["https://a.example"]],
    [" https://a.example , http://[::1]:3000 ", ["https://a.example", "http://[::1]:3000"]],
    ["*", undefined],
    ["null", undefined],
    ["a.example", undefined],
    ["https://a.example/", undefined],
    ["https://a.example:443", undefined],
    ["https://A.example", undefined],
    ["https://*.example", undefined],
    ["ftp://a.example", undefined],
    ["https://a.example,", undefined],
  ])("names each as browsers write it: %j", (text, origins) => expect(parseOrigins(text)).toEqual(origins));
});
