import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { KeyService, SessionService } from "@routeplane/contracts/auth";
import { UsageService } from "@routeplane/contracts/usage";
import { isInternal, publishedServices } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";
import { PAGE, startConsoleUnderTest } from "./console-under-test.ts";

const LIST_KEYS = "/api/routeplane.auth.v1.KeyService/ListKeys";
const toConnectError = (error: unknown): ConnectError => ConnectError.from(error);
/** Address at which nothing listens. */
const NOBODY = "http://127.0.0.1:1";

type Console = Awaited<ReturnType<typeof startConsoleUnderTest>>;

/** Transport like that of the page. */
function pageTransport({ port }: Console, cookie: string, useBinaryFormat = true) {
  return createConnectTransport({
    baseUrl: `http://127.0.0.1:${port}/api`,
    useBinaryFormat,
    interceptors: [
      (next) => (request) => {
        request.header.set("x-routeplane-console", "1");
        request.header.set("cookie", cookie);
        return next(request);
      },
    ],
  });
}

it("relays the methods of the contracts that clients may call, except those that create session credentials", async () => {
  const { signIn, request } = await startConsoleUnderTest();
  const { cookie } = await signIn();
  const secret = new Set(["CreateSession", "ExchangeSession", "CreateSignInCode", "EndSession"]);
  const methods = Object.values(publishedServices()).flatMap((services) =>
    services.flatMap((service) => service.methods),
  );
  for (const method of methods) {
    // A relayed method refuses this HTTP method; one that is not relayed is not found.
    const path = `/api/${method.parent.typeName}/${method.name}`;
    const { status } = await request("GET", path, { headers: { ...PAGE, cookie } });
    const isRelayed = !isInternal(method) && !(method.parent === SessionService && secret.has(method.name));
    expect([path, status]).toEqual([path, isRelayed ? 405 : 404]);
  }
  const internal = await request("POST", "/api/routeplane.auth.v1.VerificationService/VerifyKey", {
    headers: { ...PAGE, cookie },
    body: "{}",
  });
  const unknown = await request("POST", "/api/routeplane.auth.v1.NoService/NoMethod", {
    headers: { ...PAGE, cookie },
    body: "{}",
  });
  expect([internal.status, internal.body]).toEqual([unknown.status, unknown.body]);
});

it("calls with the session's credential only, whatever other credentials the page sends", async () => {
  const { signIn, request, services } = await startConsoleUnderTest();
  const { cookie } = await signIn();
  const smuggled = {
    authorization: `Bearer ${services.apiKey}`,
    "x-api-key": services.apiKey,
    "x-routeplane-relay": "rps_forged",
    "x-routeplane-client-address": "192.0.2.1",
    "x-request-id": "forged",
    "x-forwarded-for": "192.0.2.1",
  };
  expect((await request("POST", LIST_KEYS, { headers: { ...PAGE, ...smuggled, cookie }, body: "{}" })).status).toBe(
    200,
  );
  const header = services.calls.at(-1)?.header;
  const [token = ""] = services.sessions.keys();
  expect(header?.get("authorization")).toBe(`Bearer ${token}`);
  expect(["x-api-key", "cookie", "x-forwarded-for"].map((name) => header?.get(name))).toEqual([null, null, null]);
  expect(header?.get("x-request-id")).toMatch(/^req_/);
});

it("passes on the errors of a service unchanged", async () => {
  const console = await startConsoleUnderTest();
  const { cookie } = await console.signIn();
  for (const isBinary of [true, false]) {
    const keys = createClient(KeyService, pageTransport(console, cookie, isBinary));
    const error = await keys.getKey({ id: "key_01jx0000000000000000000000" }).catch(toConnectError);
    expect(error).toMatchObject({
      code: Code.NotFound,
      rawMessage: "not found: there is no such resource in this namespace",
    });
  }
});

it("requires a session before it looks at a call", async () => {
  const { request, services } = await startConsoleUnderTest();
  const { status, headers } = await request("POST", LIST_KEYS, { headers: PAGE, body: "{}" });
  expect([status, headers["set-cookie"], services.calls]).toEqual([401, undefined, []]);
});

it("accepts only Connect bodies, and none that is too large", async () => {
  const { signIn, request } = await startConsoleUnderTest();
  const { cookie } = await signIn();
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/grpc"]) {
    const { status } = await request("POST", LIST_KEYS, {
      headers: { ...PAGE, "content-type": type, cookie },
      body: "{}",
    });
    expect([type, status]).toEqual([type, 415]);
  }
  const large = await request("POST", LIST_KEYS, { headers: { ...PAGE, cookie }, body: " ".repeat((64 << 10) + 1) });
  expect(large.status).toBe(413);
});

it("names the service that does not answer, while the others keep working", async () => {
  const console = await startConsoleUnderTest({ urls: { usageUrl: NOBODY } });
  const { cookie } = await console.signIn();
  const transport = pageTransport(console, cookie);
  await createClient(KeyService, transport).listKeys({});
  const usage = createClient(UsageService, transport);
  const unary = await usage.getUsage({}).catch(toConnectError);
  const streamed = await (async () => {
    for await (const message of usage.watchRequests({})) void message;
  })().catch(toConnectError);
  for (const error of [unary, streamed]) {
    expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: "the usage service does not answer; try again" });
  }
});

it("answers a sign-in with 503 while auth does not answer, and is not healthy", async () => {
  const { request, services } = await startConsoleUnderTest({ urls: { authUrl: NOBODY } });
  const body = JSON.stringify({ token: services.apiKey });
  const { status, headers, body: answer } = await request("POST", "/session", { headers: PAGE, body });
  expect([status, headers["set-cookie"], JSON.parse(answer)]).toMatchObject([503, undefined, { code: "unavailable" }]);
  const health = await request("GET", "/healthz");
  expect([health.status, JSON.parse(health.body)]).toMatchObject([503, { dependencies: { auth: "unreachable" } }]);
});

it("streams message by message, and ends the call when the page disconnects", async () => {
  const console = await startConsoleUnderTest();
  const { cookie } = await console.signIn();
  const leaving = new AbortController();
  const usage = createClient(UsageService, pageTransport(console, cookie));
  const messages = usage.watchRequests({}, { signal: leaving.signal })[Symbol.asyncIterator]();
  const first = await messages.next();
  expect(first.value?.requests[0]?.id).toBe("req_first");
  expect(console.services.watches()).toBe(1);
  leaving.abort();
  await eventually(() => console.services.watches() === 0);
});

it("runs four streams of a session at once, without reducing those of other sessions", async () => {
  const console = await startConsoleUnderTest();
  const [one, two] = [await console.signIn(), await console.signIn()];
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const watch = (cookie: string) => {
    const usage = createClient(UsageService, pageTransport(console, cookie));
    const messages = usage.watchRequests({}, { signal: leaving.signal });
    return messages[Symbol.asyncIterator]().next();
  };
  for (let count = 0; count < 4; count++) await watch(one.cookie);
  await expect(watch(one.cookie)).rejects.toMatchObject({ code: Code.ResourceExhausted });
  await watch(two.cookie);
  expect(console.services.watches()).toBe(5);
});

it("ends streams when it drains, and answers running calls", async () => {
  const console = await startConsoleUnderTest();
  const { cookie } = await console.signIn();
  const usage = createClient(UsageService, pageTransport(console, cookie));
  const messages = usage.watchRequests({})[Symbol.asyncIterator]();
  await messages.next();
  const ended = messages.next().catch(toConnectError);
  await console.server.drain({ timeoutMs: 5_000, signal: AbortSignal.timeout(100) });
  expect(await ended).toBeInstanceOf(ConnectError);
  await eventually(() => console.services.watches() === 0);
});
