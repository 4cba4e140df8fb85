import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { newSealKeys, PAGE, startConsoleUnderTest } from "./console-under-test.ts";
import { CONSOLE_TOKEN, startFakeServices } from "./fake-services.ts";

const LIST_KEYS = "/api/routeplane.auth.v1.KeyService/ListKeys";
const json = (value: unknown) => ({ headers: PAGE, body: JSON.stringify(value) });

describe("a sign-in", () => {
  it("sets a cookie that scripts, other sites and other paths cannot read, and returns no token", async () => {
    const { request, services, port } = await startConsoleUnderTest();
    const { status, headers, body } = await request("POST", "/session", json({ token: services.apiKey }));
    expect(status).toBe(200);
    const [cookie = ""] = headers["set-cookie"] ?? [];
    expect(cookie).toMatch(
      new RegExp(`^routeplane-session-${port}=k1\\.[\\w-]+; Path=/; Max-Age=(43199|43200); HttpOnly; SameSite=Strict$`),
    );
    const [token = ""] = services.sessions.keys();
    expect(JSON.stringify(headers) + body + Buffer.from(cookie, "base64url").toString("latin1")).not.toContain(token);
  });

  it("sets a cookie only for this host and TLS at a public address", async () => {
    const { request, services } = await startConsoleUnderTest({ publicOrigin: "https://console.example.com" });
    const headers = { ...PAGE, host: "console.example.com", origin: "https://console.example.com" };
    const { headers: answered } = await request("POST", "/session", {
      headers,
      body: JSON.stringify({ token: services.apiKey }),
    });
    expect(String(answered["set-cookie"])).toMatch(
      /^__Host-routeplane-session=.*; Path=\/; .*HttpOnly; SameSite=Strict; Secure$/,
    );
  });

  it("opens a session by a code, once", async () => {
    const { request, services } = await startConsoleUnderTest();
    const code = services.makeCode();
    expect((await request("POST", "/session", json({ code }))).status).toBe(200);
    const again = await request("POST", "/session", json({ code }));
    expect([again.status, again.headers["set-cookie"]]).toEqual([401, undefined]);
    expect(JSON.parse(again.body)).toMatchObject({ code: "unauthenticated" });
    expect(again.body).not.toContain(code);
  });

  it("sends auth the address of the browser, with the credential that makes auth trust it", async () => {
    const { request, services } = await startConsoleUnderTest();
    await request("POST", "/session", json({ code: services.makeCode() }));
    await request("POST", "/session", json({ token: services.apiKey }));
    expect(services.calls.map(({ address }) => address)).toEqual(["127.0.0.1", "127.0.0.1"]);
    const [redeemed, created] = services.calls.map(({ header }) => header);
    expect(redeemed?.get("authorization")).toBe(`Bearer ${CONSOLE_TOKEN}`);
    expect(created?.get("authorization")).toBe(`Bearer ${services.apiKey}`);
    expect(created?.get("x-request-id")).toMatch(/^req_/);
  });

  it.each([
    ["a token of another kind", { token: CONSOLE_TOKEN }, 401],
    ["a token that is cut off", { token: "rp_live_abc" }, 401],
    ["both proofs", { token: "rp_x", code: "x" }, 400],
    ["no proof", {}, 400],
    ["a proof that is no text", { code: ["x"] }, 400],
    ["a proof without an end", { code: "x".repeat(513) }, 400],
    ["a list", [], 400],
    ["null", null, 400],
  ])("refuses %s", async (_, proof, status) => {
    const { request, services } = await startConsoleUnderTest();
    const answer = await request("POST", "/session", json(proof));
    expect([answer.status, answer.headers["set-cookie"]]).toEqual([status, undefined]);
    expect(services.calls).toEqual([]);
  });

  it("refuses a body that is malformed, of another type, or too large", async () => {
    const { request } = await startConsoleUnderTest();
    expect((await request("POST", "/session", { headers: PAGE, body: "{" })).status).toBe(400);
    const form = { "x-routeplane-console": "1", "content-type": "text/plain" };
    expect((await request("POST", "/session", { headers: form, body: "{}" })).status).toBe(415);
    expect((await request("POST", "/session", json({ code: "x".repeat(70_000) }))).status).toBe(413);
  });

  it("is refused after 20 failures from an address, without a call to auth", async () => {
    const { request, services } = await startConsoleUnderTest();
    for (let count = 0; count < 20; count++) await request("POST", "/session", json({ code: "wrong" }));
    const calls = services.calls.length;
    const { status, headers } = await request("POST", "/session", json({ token: services.apiKey }));
    expect([status, services.calls.length]).toEqual([429, calls]);
    expect(Number(headers["retry-after"])).toBeGreaterThan(50);
  });

  it("is refused for the client's own failures behind a trusted proxy, not for those of other clients", async () => {
    const { request, services } = await startConsoleUnderTest({ proxies: "127.0.0.0/8" });
    const signInFrom = (forwarded: string, proof: object) =>
      request("POST", "/session", {
        headers: { ...PAGE, "x-forwarded-for": forwarded },
        body: JSON.stringify(proof),
      });
    for (let count = 0; count < 20; count++) await signInFrom(`203.0.113.${count}, 192.0.2.1`, { code: "wrong" });
    expect((await signInFrom("198.51.100.7, 192.0.2.1", { token: services.apiKey })).status).toBe(429);
    expect((await signInFrom("192.0.2.1, 198.51.100.7", { token: services.apiKey })).status).toBe(200);
    expect(services.calls.at(-1)?.address).toBe("198.51.100.7");
  });

  it("is refused for the failures of its peer address without a trusted proxy, whatever addresses its headers name", async () => {
    const { request, services } = await startConsoleUnderTest({ proxies: "10.0.0.0/8" });
    const signInFrom = (forwarded: string) =>
      request("POST", "/session", { headers: { ...PAGE, "x-forwarded-for": forwarded }, body: '{"code":"wrong"}' });
    for (let count = 0; count < 20; count++) await signInFrom(`192.0.2.${count}`);
    expect((await signInFrom("192.0.2.99")).status).toBe(429);
    expect(services.calls.at(-1)?.address).toBe("127.0.0.1");
  });

  it("ends the session that the browser had before", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const { cookie } = await signIn();
    const [first = ""] = services.sessions.keys();
    await request("POST", "/session", {
      headers: { ...PAGE, cookie },
      body: JSON.stringify({ token: services.apiKey }),
    });
    expect([services.sessions.has(first), services.sessions.size]).toEqual([false, 1]);
  });

  it("logs no proof and no token", async () => {
    const lines: string[] = [];
    const log = createLogger("console", (line) => (lines.push(line), line), "debug");
    const { request, services } = await startConsoleUnderTest({ log });
    const code = services.makeCode();
    for (const proof of [{ code }, { code }, { token: services.apiKey }, { token: `${services.apiKey}x` }]) {
      await request("POST", "/session", json(proof));
    }
    const text = lines.join("");
    expect(text).toContain('"path":"/session"');
    for (const secret of [code, services.apiKey, ...services.sessions.keys()]) expect(text).not.toContain(secret);
  });
});

describe("the session of a browser", () => {
  it("is described without its token", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const headers = await signIn();
    const { status, body } = await request("GET", "/session", { headers });
    expect([status, JSON.parse(body)]).toEqual([
      200,
      {
        kind: "namespace",
        namespace_id: services.namespaceId,
        namespace_name: "default",
        namespace_state: "active",
        name: "root",
        scopes: ["keys:*", "usage:read"],
        expires_at: expect.stringMatching(/Z$/),
        can_switch: true,
        gateway_url: "http://127.0.0.1:8080",
      },
    ]);
    expect(body).not.toContain("rpw_");
  });

  it("in a suspended namespace keeps its cookie, shows the state, and can be exchanged for another namespace", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const { cookie } = await signIn();
    const headers = { ...PAGE, cookie };
    const [first = ""] = services.sessions.keys();
    services.suspend();
    const called = await request("POST", LIST_KEYS, { headers, body: "{}" });
    expect([called.status, called.headers["set-cookie"]]).toEqual([401, undefined]);
    const looked = await request("GET", "/session", { headers });
    expect([looked.status, looked.headers["set-cookie"], JSON.parse(looked.body)]).toMatchObject([
      200,
      undefined,
      { namespace_id: services.namespaceId, namespace_name: "", namespace_state: "suspended", scopes: [] },
    ]);
    const target = newId("ns");
    const switched = await request("POST", "/session/namespace", {
      headers,
      body: JSON.stringify({ namespace: target }),
    });
    expect([switched.status, JSON.parse(switched.body)]).toMatchObject([
      200,
      { namespace_id: target, namespace_state: "active" },
    ]);
    expect(services.calls.at(-1)?.header.get("authorization")).toBe(`Bearer ${CONSOLE_TOKEN}`);
    expect([services.sessions.has(first), services.sessions.size]).toEqual([false, 1]);
    expect(String(switched.headers["set-cookie"])).not.toContain("Max-Age=0");
  });

  it("is described by the response to the sign-in", async () => {
    const { request, services } = await startConsoleUnderTest();
    const { headers, body } = await request("POST", "/session", json({ token: services.apiKey }));
    const cookie = String(headers["set-cookie"]).split(";", 1)[0] ?? "";
    expect(JSON.parse(body)).toMatchObject({ namespace_id: services.namespaceId, scopes: ["keys:*", "usage:read"] });
    expect(body).toBe((await request("GET", "/session", { headers: { cookie } })).body);
  });

  it("ends in auth and in the browser at the sign-out", async () => {
    const { signIn, request, services, port } = await startConsoleUnderTest();
    const { cookie } = await signIn();
    const { status, headers } = await request("DELETE", "/session", { headers: { ...PAGE, cookie } });
    expect([status, services.sessions.size]).toEqual([204, 0]);
    expect(String(headers["set-cookie"])).toMatch(new RegExp(`^routeplane-session-${port}=; Path=/; Max-Age=0;`));
    expect((await request("GET", "/session", { headers: { cookie } })).status).toBe(401);
  });

  it("is asked for by at most 20 concurrent guesses of an address; further ones are refused without a call", async () => {
    const { request, services } = await startConsoleUnderTest();
    const guess = () => request("POST", "/session", json({ code: "a-guess" }));
    const statuses = (await Promise.all(Array.from({ length: 30 }, guess))).map(({ status }) => status);
    const calls = services.calls.filter(({ method }) => method === "RedeemSignInCode");
    expect([calls.length, statuses.filter((status) => status === 429).length]).toEqual([20, 10]);
  });

  it("ends in auth at the sign-out although its namespace is suspended, so that it is not valid again afterwards", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const { cookie } = await signIn();
    services.suspend();
    const { status } = await request("DELETE", "/session", { headers: { ...PAGE, cookie } });
    expect([status, services.sessions.size]).toEqual([204, 0]);
  });

  it("is removed from the browser at the sign-out even if auth does not answer, which is reported", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const { cookie } = await signIn();
    await services.stop();
    const { status, headers, body } = await request("DELETE", "/session", { headers: { ...PAGE, cookie } });
    expect([status, JSON.parse(body)]).toMatchObject([503, { code: "unavailable" }]);
    expect(String(headers["set-cookie"])).toContain("Max-Age=0");
  });

  it("is refused and its cookie removed once it is revoked", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const { cookie } = await signIn();
    services.revokeAll();
    const look = await request("GET", "/session", { headers: { cookie } });
    const call = await request("POST", LIST_KEYS, { headers: { ...PAGE, cookie }, body: "{}" });
    for (const { status, body } of [look, call]) {
      expect([status, JSON.parse(body)]).toMatchObject([401, { code: "unauthenticated" }]);
    }
    expect(String(look.headers["set-cookie"])).toContain("Max-Age=0");
    // The session can leave its namespace, so only a read of the session decides.
    expect(call.headers["set-cookie"]).toBeUndefined();
  });

  it("of the operator view is removed by the first call that is refused", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const switched = await request("POST", "/session/namespace", {
      headers: { ...PAGE, ...(await signIn()) },
      body: "{}",
    });
    const cookie = String(switched.headers["set-cookie"]).split(";", 1)[0] ?? "";
    services.revokeAll();
    const { status, headers } = await request("POST", LIST_KEYS, { headers: { ...PAGE, cookie }, body: "{}" });
    expect([status, String(headers["set-cookie"])]).toEqual([401, expect.stringContaining("Max-Age=0")]);
  });

  it("is exchanged for another namespace; a call that was running does not remove the new cookie", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const former = await signIn();
    const switched = await request("POST", "/session/namespace", {
      headers: { ...PAGE, ...former },
      body: JSON.stringify({ namespace: "staging" }),
    });
    expect([switched.status, JSON.parse(switched.body)]).toMatchObject([200, { namespace_id: "staging" }]);
    const late = await request("POST", LIST_KEYS, { headers: { ...PAGE, ...former }, body: "{}" });
    expect([late.status, late.headers["set-cookie"]]).toEqual([401, undefined]);
    const cookie = String(switched.headers["set-cookie"]).split(";", 1)[0] ?? "";
    expect((await request("POST", LIST_KEYS, { headers: { ...PAGE, cookie }, body: "{}" })).status).toBe(200);
    expect(services.sessions.size).toBe(1);
  });

  it.each([
    ["another sign-in", "POST", "/session", (apiKey: string) => ({ token: apiKey })],
    ["a switch of the namespace", "POST", "/session/namespace", () => ({ namespace: "staging" })],
    ["a sign-out", "DELETE", "/session", () => undefined],
  ])("that %s ended leaves the cookie of the next one, however late a call of its own is refused", async (...row) => {
    const [, method, path, bodyOf] = row;
    const { signIn, request, services } = await startConsoleUnderTest();
    const former = await signIn();
    const body = JSON.stringify(bodyOf(services.apiKey));
    expect((await request(method, path, { headers: { ...PAGE, ...former }, body })).status).toBeLessThan(300);
    const late = await request("GET", "/session", { headers: former });
    expect([late.status, late.headers["set-cookie"]]).toEqual([401, undefined]);
  });

  it("does not act for a page that still shows the former namespace", async () => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const own = await signIn();
    const showing = (namespace: string) =>
      request("POST", LIST_KEYS, { headers: { ...PAGE, ...own, "x-routeplane-namespace": namespace }, body: "{}" });
    expect((await showing(services.namespaceId)).status).toBe(200);
    const other = await showing("ns_of-another-tab");
    expect([other.status, JSON.parse(other.body)]).toMatchObject([409, { code: "failed_precondition" }]);
    expect(services.calls.filter(({ method }) => method === "ListKeys")).toHaveLength(1);
  });

  it("is absent with a cookie that was altered, repeated, expired, or sealed by a removed key", async () => {
    let nowMs = Date.now();
    const services = await startFakeServices();
    const { signIn, request, port } = await startConsoleUnderTest({ services, clock: () => nowMs });
    const { cookie } = await signIn();
    const statusOf = async (text: string, ask = request, at = port) =>
      (await ask("GET", "/session", { headers: { cookie: text, host: `127.0.0.1:${at}` } })).status;
    expect(await statusOf(cookie)).toBe(200);
    expect(await statusOf(`other=1; ${cookie}`)).toBe(200);
    expect(await statusOf(`${cookie}; ${cookie}`)).toBe(401);
    expect(await statusOf(cookie.replace(/.$/, (last) => (last === "A" ? "B" : "A")))).toBe(401);
    expect(await statusOf(cookie.replace("routeplane-session", "__Host-routeplane-session"))).toBe(401);
    const other = await startConsoleUnderTest({ services, sealKeys: newSealKeys("k1") });
    expect(await statusOf(cookie, other.request)).toBe(401);
    nowMs += 12 * 3_600_000 + 60_000;
    expect(await statusOf(cookie)).toBe(401);
  });
});

describe("a request that another site made a browser send", () => {
  const forged: [string, Record<string, string>][] = [
    ["a form", { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "cross-site" }],
    ["a form, from a browser that says nothing of sites", { "content-type": "text/plain" }],
    ["a call with the header from another site", { ...PAGE, "sec-fetch-site": "cross-site" }],
    ["a call with the header from a sibling domain", { ...PAGE, "sec-fetch-site": "same-site" }],
    ["a call with the header from another origin", { ...PAGE, origin: "https://evil.example" }],
    ["a call with the header from no origin", { ...PAGE, origin: "null" }],
    ["a call with another value of the header", { ...PAGE, "x-routeplane-console": "yes" }],
  ];

  it.each(forged)("is refused before anything is done: %s", async (_, headers) => {
    const { signIn, request, services } = await startConsoleUnderTest();
    const { cookie } = await signIn();
    const calls = services.calls.length;
    for (const [method, path] of [
      ["POST", "/session"],
      ["DELETE", "/session"],
      ["POST", "/session/namespace"],
      ["POST", LIST_KEYS],
    ] as const) {
      const { status, body } = await request(method, path, { headers: { ...headers, cookie }, body: "{}" });
      expect([method, path, status, JSON.parse(body)]).toMatchObject([
        method,
        path,
        403,
        { code: "permission_denied" },
      ]);
    }
    expect([services.calls.length, services.sessions.size]).toEqual([calls, 1]);
  });

  it("is distinguished from requests of the page itself and of programs", async () => {
    const { signIn, request, port } = await startConsoleUnderTest();
    const { cookie } = await signIn();
    const own: Record<string, string>[] = [
      {},
      { "sec-fetch-site": "same-origin", origin: `http://127.0.0.1:${port}` },
      { "sec-fetch-site": "none" },
    ];
    for (const headers of own) {
      const { status } = await request("POST", LIST_KEYS, { headers: { ...PAGE, ...headers, cookie }, body: "{}" });
      expect(status).toBe(200);
    }
  });
});
