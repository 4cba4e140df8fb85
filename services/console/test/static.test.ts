import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { loadAppFiles } from "../src/handlers/app-files.ts";
import { APP, type Answer, PAGE, startConsoleUnderTest, writeApp } from "./console-under-test.ts";

const SCRIPT = "/assets/index-abc.js";

it("serves the page for every path of the app, and forbids caching it", async () => {
  const { request } = await startConsoleUnderTest();
  for (const path of ["/", "/requests", "/requests/req_01jx", "/sign-in", "/quick-start", "/keys?status=active"]) {
    const { status, headers, body } = await request("GET", path);
    expect([path, status, body]).toEqual([path, 200, APP["index.html"]]);
    expect(headers["cache-control"]).toBe("no-store");
  }
});

it("lets browsers cache files with a digest in their name, and makes them revalidate others", async () => {
  const { request } = await startConsoleUnderTest();
  const script = await request("GET", SCRIPT);
  expect(script.headers).toMatchObject({
    "cache-control": "public, max-age=31536000, immutable",
    "content-type": "text/javascript; charset=utf-8",
    vary: "Accept-Encoding",
  });
  const icon = await request("GET", "/icon.svg");
  expect(icon.headers["cache-control"]).toBe("no-cache");
  const again = await request("GET", "/icon.svg", { headers: { "if-none-match": String(icon.headers["etag"]) } });
  expect([again.status, again.body]).toEqual([304, ""]);
});

it("sends the smallest coding that a client accepts", async () => {
  const { port } = await startConsoleUnderTest();
  const fetched = async (accept: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${SCRIPT}`, { headers: { "accept-encoding": accept } });
    return [response.headers.get("content-encoding"), await response.text()];
  };
  expect(await fetched("gzip, deflate, br")).toEqual(["br", APP["assets/index-abc.js"]]);
  expect(await fetched("gzip, br;q=0")).toEqual(["gzip", APP["assets/index-abc.js"]]);
  expect(await fetched("identity")).toEqual([null, APP["assets/index-abc.js"]]);
  const files = await loadAppFiles(writeApp());
  const codings = files.find(SCRIPT)?.codings;
  const content = Buffer.from(APP["assets/index-abc.js"]);
  expect(brotliDecompressSync(codings?.get("br") ?? "")).toEqual(content);
  expect(gunzipSync(codings?.get("gzip") ?? "")).toEqual(content);
});

it.each([
  "/../package.json",
  "/assets/../../package.json",
  "/assets/%2e%2e/index.html",
  "/..%2f..%2fetc/passwd",
  "/%2fetc%2fpasswd",
  "//etc/passwd",
  "/assets/",
  "/assets/missing.js",
  "/index.html",
  "/favicon.ico",
  "/.env",
  "/assets/index-abc.js/",
  "/assets\\index-abc.js",
  "/__proto__",
  "/api",
  `/${"a".repeat(3_000)}`,
])("finds nothing at %s", async (path) => {
  const { request } = await startConsoleUnderTest();
  const { status, headers, body } = await request("GET", path);
  expect([status, headers["content-type"], JSON.parse(body)]).toEqual([
    404,
    "application/json",
    { code: "not_found", message: "there is nothing at this address" },
  ]);
  const page = await request("GET", path, { headers: { accept: "text/html" } });
  expect([page.status, page.headers["content-type"]]).toEqual([404, "text/html; charset=utf-8"]);
});

it("answers HEAD without a body, and no other method", async () => {
  const { request } = await startConsoleUnderTest();
  const head = await request("HEAD", SCRIPT);
  expect([head.status, head.body, head.headers["content-length"]]).toEqual([
    200,
    "",
    String(APP["assets/index-abc.js"].length),
  ]);
  expect((await request("POST", "/", { headers: PAGE })).status).toBe(405);
});

it("sends its security headers with every response, and none that lets another origin read one", async () => {
  const { request } = await startConsoleUnderTest();
  const answers: Answer[] = [
    await request("GET", "/"),
    await request("GET", SCRIPT),
    await request("GET", "/nothing.js"),
    await request("GET", "/session"),
    await request("GET", "/healthz"),
    await request("POST", "/session", { body: "{}" }),
    await request("POST", "/api/routeplane.auth.v1.KeyService/ListKeys", { headers: PAGE, body: "{}" }),
    await request("OPTIONS", "/api/routeplane.auth.v1.KeyService/ListKeys", {
      headers: { origin: "https://evil.example", "access-control-request-method": "POST" },
    }),
    await request("GET", "/", { headers: { host: "evil.example" } }),
  ];
  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      "content-security-policy":
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    });
    expect(Object.keys(headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
    expect(headers["strict-transport-security"]).toBeUndefined();
  }
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 401, 200, 403, 401, 403, 421]);
});

it("serves its public host over TLS and the machine itself, and no other host", async () => {
  const { request, port } = await startConsoleUnderTest({ publicOrigin: "https://console.example.com" });
  const own = await request("GET", "/", { headers: { host: "console.example.com" } });
  expect([own.status, own.headers["strict-transport-security"]]).toEqual([200, "max-age=31536000"]);
  expect((await request("GET", "/", { headers: { host: `localhost:${port}` } })).status).toBe(200);
  // A name of an attacker that resolves to this address: its page would be of the same origin.
  for (const host of ["rebound.example", `rebound.example:${port}`, "console.example.com.evil.example"]) {
    expect((await request("GET", "/session", { headers: { host } })).status).toBe(421);
  }
});

it("does not start without a built app", async () => {
  await expect(loadAppFiles(writeApp({}))).rejects.toThrow("holds no built console");
});
