import { once } from "node:events";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { connect as connectSocket } from "node:net";
import { text } from "node:stream/consumers";
import { setImmediate, setTimeout as delay } from "node:timers/promises";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { KeyService } from "@routeplane/contracts/auth";
import { UsageService } from "@routeplane/contracts/usage";
import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { rpcChain } from "./chain.ts";
import { startRpcServer } from "./server.ts";

/** Responses of a service to bodies that it must not, or cannot, read. */

const served: string[] = [];
const logged: string[] = [];
let server: Awaited<ReturnType<typeof startRpcServer>>;
let session: ClientHttp2Session;
const streamEnded = Promise.withResolvers<void>();

beforeAll(async () => {
  const chain = rpcChain({
    log: createLogger("test", (line) => (logged.push(line), ""), "debug"),
    serviceCredentials: { callerOf: (token) => (token === "rps_the-service-token" ? "gateway" : undefined) },
    async verifyToken(token) {
      if (token === "unknown") throw new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key");
      const ids = { keyId: newId("key"), namespaceId: newId("ns"), accountId: newId("acc") };
      return { kind: "key", ...ids, scopes: [token], lineage: [], expiresAt: undefined };
    },
  });
  server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    ...chain,
    routes: ({ service }) => {
      service(KeyService, {
        mintKey: ({ name }) => {
          if (name === "broken") throw Object.assign(new Error("a write"), { code: "ERR_STREAM_DESTROYED" });
          if (name === "endless") return new Promise(() => {});
          served.push(name);
          return { token: "minted" };
        },
      });
      service(UsageService, {
        async *watchRequests(_, { signal }) {
          yield {};
          await once(signal, "abort");
          try {
            yield {};
          } finally {
            streamEnded.resolve();
          }
        },
      });
    },
  });
  session = connect(`http://127.0.0.1:${server.port}`);
});
afterAll(async () => {
  session.close();
  await server.stop();
});

const PATH = `/${KeyService.typeName}/MintKey`;
const MEBIBYTE = 1 << 20;

interface Response {
  /** HTTP status by Connect, `grpc-status` by gRPC. */
  readonly status: string;
  /** Headers, body and trailers, with base64 decoded. */
  readonly text: string;
}

/** Makes a call. @param body not sent if undefined, while the call stays open for it */
function call(type: string, token: string | undefined, body: Buffer | undefined): Promise<Response> {
  return new Promise((resolve, reject) => {
    const credential = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const stream = session.request({ ":method": "POST", ":path": PATH, "content-type": type, ...credential });
    const parts: Buffer[] = [];
    const heads: Record<string, unknown>[] = [];
    stream.on("response", (head) => heads.push(head));
    stream.on("trailers", (trailers) => heads.push(trailers));
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      const headers = Object.assign({}, ...heads);
      const details = Buffer.from(String(headers["grpc-status-details-bin"] ?? ""), "base64").toString("latin1");
      const received = JSON.stringify(heads) + details + Buffer.concat(parts).toString("latin1");
      const text = received.replace(/%([0-9A-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      const inBody = /grpc-status: (\d+)/.exec(text)?.[1];
      const status = type.startsWith("application/grpc") ? (headers["grpc-status"] ?? inBody) : headers[":status"];
      resolve({ status: String(status), text });
      stream.close();
    });
    stream.on("error", reject);
    if (body !== undefined) stream.end(body);
  });
}

/** Frames a message as the protocol does. */
function framed(type: string, message: Buffer): Buffer {
  if (!type.startsWith("application/grpc")) return message;
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const JSON_TYPES = ["application/json", "application/grpc+json", "application/grpc-web+json"];
const TYPES = [...JSON_TYPES, "application/proto", "application/grpc", "application/grpc-web+proto"];
const codeOf = (type: string, http: number, grpc: number) => `${type.startsWith("application/grpc") ? grpc : http}`;

describe.each(TYPES)("a call as %s", (type) => {
  it.each([
    ["without a credential", undefined, 401, 16],
    ["with an unknown one", "unknown", 401, 16],
    ["without the scope", "keys:read", 403, 7],
  ])("%s is refused before any of its body has arrived", async (_, token, http, grpc) => {
    const { status, text } = await call(type, token, undefined);
    expect(status).toBe(codeOf(type, http, grpc));
    expect(text).toContain("x-request-id");
  });

  it("without a credential is refused with a body of 1 MiB too", async () => {
    const body = framed(type, Buffer.from(`{"name":"${"x".repeat(MEBIBYTE)}`));
    expect((await call(type, undefined, body)).status).toBe(codeOf(type, 401, 16));
    expect(served).toEqual([]);
  });
});

it.each([
  ["application/proto", "400"],
  ["application/grpc", "3"],
])("an unreadable binary message as %s is INVALID_ARGUMENT", async (type, invalid) => {
  const { status, text } = await call(type, "keys:write", framed(type, Buffer.from([0xff, 0xff, 0xff])));
  expect(status).toBe(invalid);
  expect(text).toContain("the message is not a routeplane.auth.v1.MintKeyRequest");
  expect(text).toContain("FIELD_INVALID");
});

it.each(JSON_TYPES)("a text as %s that is not UTF-8 is refused instead of altered", async (type) => {
  const body = Buffer.from('{"name":"Stra\xdfe","scopes":["keys:read"]}', "latin1");
  const { status, text } = await call(type, "keys:write", framed(type, body));
  expect(status).toBe(codeOf(type, 400, 3));
  expect(text).toContain("the request is not UTF-8");
});

it.each([
  ["application/json", "429"],
  ["application/proto", "429"],
  ["application/grpc", "8"],
])("a message as %s that is too large is refused with a reason, and its bound", async (type, exhausted) => {
  const { status, text } = await call(type, "keys:write", framed(type, Buffer.alloc(2 * MEBIBYTE)));
  expect(status).toBe(exhausted);
  expect(text).toContain("the message is larger than 1048576 bytes");
  expect(text).toContain("TOO_LARGE");
});

it.each([
  ["keys:read", 7, "this needs the scope keys:write, which your key does not hold"],
  [undefined, 16, "no credential: send it as `Authorization: Bearer rp_…`"],
])("a plain gRPC client gets the message of a refusal unescaped (%s)", async (token, code, details) => {
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  const asIs = (bytes: Buffer): Buffer => bytes;
  const error = await new Promise<ServiceError | null>((resolve) => {
    client.makeUnaryRequest(PATH, asIs, asIs, Buffer.alloc(0), metadata, (refused) => resolve(refused));
  });
  client.close();
  expect(error).toMatchObject({ code, details });
});

it("an error within a unary call is a fault of the service, and logged, even a stream error", async () => {
  const { status } = await call(
    "application/json",
    "keys:write",
    Buffer.from('{"name":"broken","scopes":["keys:read"]}'),
  );
  expect(status).toBe("500");
  expect(logged.splice(0).join("")).toContain("ERR_STREAM_DESTROYED");
});

it("gives running calls the time of a drain, and ends them when the drain is cut short", async () => {
  const started = Promise.withResolvers<void>();
  const busy = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    interceptors: [],
    requestGate: async () => undefined,
    routes: ({ service }) =>
      service(KeyService, {
        mintKey: () => {
          started.resolve();
          return new Promise(() => {});
        },
      }),
  });
  const client = connect(`http://127.0.0.1:${busy.port}`).on("error", () => {});
  const stream = client.request({ ":method": "POST", ":path": PATH, "content-type": "application/json" });
  const ended = once(
    stream.on("error", () => {}),
    "close",
  );
  stream.end('{"name":"endless","scopes":["keys:read"]}');
  await started.promise;
  const hurry = new AbortController();
  let isDrained = false;
  const drained = busy.drain({ timeoutMs: 600_000, signal: hurry.signal }).then(() => (isDrained = true));
  await delay(5_500);
  expect(isDrained).toBe(false);
  hurry.abort();
  await Promise.all([drained, ended]);
  await busy.stop();
}, 30_000);

it("a caller that resets its call with an error, as at its deadline, is not logged as a fault of the service", async () => {
  const loggedBefore = logged.length;
  const stream = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": "application/json",
    authorization: "Bearer keys:write",
  });
  stream.on("error", () => {});
  const closed = new Promise((resolve) => stream.once("close", resolve));
  stream.end('{"name":"endless","scopes":["keys:read"]}');
  // A call after it on the session: the first one is being handled.
  await call("application/json", "keys:write", Buffer.from('{"name":"after it","scopes":["keys:read"]}'));
  expect(served.splice(0)).toEqual(["after it"]);
  stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  await closed;
  const linesSince = (): readonly string[] => logged.slice(loggedBefore);
  await eventually(() =>
    linesSince().some((line) => line.includes(`"code":"Canceled"`) || line.includes("call failed")),
  );
  expect(linesSince().join("")).not.toContain("call failed");
});

it("a subscriber of a stream that hangs up is no fault of the service", async () => {
  const stream = session.request({
    ":method": "POST",
    ":path": `/${UsageService.typeName}/WatchRequests`,
    "content-type": "application/grpc",
    authorization: "Bearer usage:read",
  });
  stream.end(framed("application/grpc", Buffer.alloc(0)));
  await once(stream, "data");
  stream.close();
  await streamEnded.promise;
  await setImmediate();
  expect(logged.join("")).not.toContain("call failed");
});

describe.each(JSON_TYPES)("JSON as %s", (type) => {
  const send = (json: string) => call(type, "keys:write", framed(type, Buffer.from(json)));

  it("reaches the handler if it is the message", async () => {
    const { status, text } = await send('{"name":"a name","scopes":["keys:read"]}');
    expect([status, served.splice(0)]).toEqual([codeOf(type, 200, 0), ["a name"]]);
    expect(text).toContain("minted");
  });

  it.each([
    ['{"name": canary-4711}', "the request is not JSON"],
    ['{"name": "canary-4711', "the request is not JSON"],
    ["canary-4711", "the request is not JSON"],
    ["", "the request is not JSON"],
    ['"canary-4711"', "the request must be an object"],
    ['["canary-4711"]', "the request must be an object"],
    ['{"name": ["canary-4711"]}', "name: must be a text"],
    ['{"name": {"canary-4711": 1}}', "name: must be a text"],
    ['{"scopes": "canary-4711"}', "scopes: must be a list"],
    ['{"scopes": ["keys:read", {"canary-4711": 1}]}', "scopes[1]: must be a text"],
    ['{"expiresAt": "canary-4711"}', "expires_at: must be an RFC 3339 time with an offset"],
    ['{"expiresAt": {"canary-4711": 1}}', "expires_at: must be an RFC 3339 time with an offset"],
    ['{"expiresAt": "2026-02-31T00:00:00Z"}', "expires_at: must be a time on a date that exists"],
    ['{"expires_at": "2027-06-15T24:00:00Z"}', "expires_at: must be a time on a date that exists"],
    ['{"expiresAt": "2026-02-31t00:00:00z"}', "expires_at: must be an RFC 3339 time with an offset"],
    ['{"expiresAt": "2026-02-28T00:00:00"}', "expires_at: must be an RFC 3339 time with an offset"],
    ['{"expiresAt": "0000-01-01T00:00:00Z"}', "expires_at: must be an RFC 3339 time with an offset"],
    ['{"expiresAt": "2026-02-28T00:00:00.1234567890Z"}', "expires_at: must be an RFC 3339 time with an offset"],
    ['{"canary-4711 is a name": 1}', "the request is no routeplane.auth.v1.MintKeyRequest in JSON"],
    ['{"name": "canary-4711", "name": "x"}', "MintKeyRequest in JSON: it gives name twice"],
    [`{"scopes": "canary-4711${"x".repeat(MEBIBYTE / 32)}"}`, "scopes: must be a list"],
    ['{"namespace": "canary-4711"}', "namespace: is not known"],
  ])(
    "is refused with the field and its rule if it is another message, and is not quoted (%#)",
    async (json, message) => {
      const { status, text } = await send(json);
      expect(status).toBe(codeOf(type, 400, 3));
      expect(text).toContain(message);
      expect(text + logged.join("")).not.toMatch(/nary|ary-/);
      expect(text.length).toBeLessThan(2_000);
    },
  );
});

describe("an idle call", () => {
  const LARGE = "x".repeat(900_000);
  const AUTHORIZED = { ":method": "POST", authorization: "Bearer keys:write" };

  async function startWithIdleTimeout(): Promise<ClientHttp2Session> {
    const chain = rpcChain({
      log: createLogger("test", (line) => line, "silent"),
      serviceCredentials: { callerOf: () => undefined },
      async verifyToken() {
        const ids = { keyId: newId("key"), namespaceId: newId("ns"), accountId: newId("acc") };
        return { kind: "key", ...ids, scopes: ["keys:write", "usage:read"], lineage: [], expiresAt: undefined };
      },
    });
    const idleServer = await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      ...chain,
      idleTimeoutMs: 1_000,
      routes: ({ service }) => {
        service(KeyService, { mintKey: () => ({ token: LARGE }) });
        service(UsageService, {
          async *watchRequests() {
            for (let count = 0; count < 8; count++) {
              yield {};
              await delay(250);
            }
          },
        });
      },
    });
    const client = connect(`http://127.0.0.1:${idleServer.port}`);
    onTestFinished(async () => {
      client.destroy();
      await idleServer.stop();
    });
    return client;
  }

  const path = `/${KeyService.typeName}/MintKey`;

  it("is ended if the rest of its body does not arrive", async () => {
    const client = await startWithIdleTimeout();
    const stream = client.request({ ...AUTHORIZED, ":path": path, "content-type": "application/json" });
    stream.on("error", () => {});
    stream.write("{");
    await once(stream.resume(), "close");
    expect(stream.rstCode).not.toBe(constants.NGHTTP2_NO_ERROR);
  });

  it("is ended if the client does not read its response", async () => {
    const client = await startWithIdleTimeout();
    const stream = client.request({ ...AUTHORIZED, ":path": path, "content-type": "application/json" });
    stream.on("error", () => {});
    stream.end(JSON.stringify({ name: "a", scopes: ["keys:read"] }));
    await once(stream, "response");
    await eventually(() => stream.rstCode === constants.NGHTTP2_CANCEL);
  });

  it("is not ended while there are messages to send", async () => {
    const client = await startWithIdleTimeout();
    const watch = `/${UsageService.typeName}/WatchRequests`;
    const stream = client.request({ ...AUTHORIZED, ":path": watch, "content-type": "application/connect+json" });
    stream.end(Buffer.from([0, 0, 0, 0, 2, ...Buffer.from("{}")]));
    expect((await text(stream)).split("{}")).toHaveLength(10);
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  });
});

it("a session whose client ignores the announced end is closed", async () => {
  const chain = rpcChain({
    log: createLogger("test", (line) => line, "silent"),
    serviceCredentials: { callerOf: () => undefined },
    verifyToken: () => Promise.reject(new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key")),
  });
  const address = { host: "127.0.0.1", port: 0 };
  const ages = { maxSessionAgeMs: 100, sessionGraceMs: 100 };
  const aging = await startRpcServer({ ...address, ...ages, ...chain, routes: () => {} });
  const socket = connectSocket(aging.port, "127.0.0.1").resume();
  onTestFinished(async () => {
    socket.destroy();
    await aging.stop();
  });
  const noSettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), noSettings]));
  await once(socket, "end");
});
