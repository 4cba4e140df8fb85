import { once } from "node:events";
import { constants, createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect as connectSocket, createServer as createTcpServer } from "node:net";
import { text } from "node:stream/consumers";
import { Code, createClient } from "@connectrpc/connect";
import { create, toBinary } from "@bufbuild/protobuf";
import { KeyService, MintKeyResponseSchema } from "@routeplane/contracts/auth";
import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { rpcChain } from "../server/chain.ts";
import { startRpcServer } from "../server/server.ts";
import { ServiceConnection } from "./service-connection.ts";
import { serviceTransport } from "./transport.ts";

type Serve = (stream: ServerHttp2Stream, session: number) => void;

/** Starts a peer that passes each stream to the test, with the number of its session from 0. */
async function startPeer(serve: Serve) {
  const sessions: ServerHttp2Session[] = [];
  const server: Http2Server = createServer();
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    serve(stream, sessions.indexOf(stream.session as ServerHttp2Session));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const lines: string[] = [];
  const log = createLogger("test", (line) => (lines.push(line), ""), "debug");
  const connection = new ServiceConnection({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, log });
  onTestFinished(() => {
    connection.stop();
    server.close();
  });
  return { connection, sessions, lines };
}

function answer(stream: ServerHttp2Stream): void {
  stream.respond({ ":status": 200 });
  stream.end("answer");
}

async function call(connection: ServiceConnection, timeoutMs?: number): Promise<string> {
  const stream = await connection.request("POST", "/", {});
  // Like connect-node, which ends a call at its deadline.
  const timer = timeoutMs && setTimeout(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR), timeoutMs);
  stream.end();
  const closed = new Promise((resolve) => stream.once("close", resolve));
  const [body] = await Promise.all([text(stream).catch(() => ""), closed]);
  clearTimeout(timer);
  return body;
}

describe("a connection to a service", () => {
  it("replaces a session that resets a stream with ENHANCE_YOUR_CALM, and logs why", async () => {
    const { connection, sessions, lines } = await startPeer((stream, session) => {
      if (session === 0) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      else answer(stream);
    });
    expect(await call(connection)).toBe("");
    expect(await call(connection)).toBe("answer");
    expect(sessions).toHaveLength(2);
    expect(lines.join("")).toMatch(/"level":"warn".*ENHANCE_YOUR_CALM.*session to a service replaced/);
  });

  it("replaces a session after consecutive calls without a response, and logs why", async () => {
    const { connection, lines } = await startPeer((stream, session) => {
      if (session > 0) answer(stream);
    });
    for (let count = 0; count < 3; count++) expect(await call(connection, 400)).toBe("");
    expect(await call(connection)).toBe("answer");
    expect(lines.join("")).toContain("3 calls in a row had no answer");
  });

  it("keeps a session on which some calls get a response", async () => {
    let calls = 0;
    const { connection, sessions } = await startPeer((stream) => {
      if (++calls % 3 === 0) answer(stream);
    });
    for (let count = 0; count < 3; count++) {
      await Promise.all([call(connection, 400), call(connection, 400)]);
      expect(await call(connection)).toBe("answer");
    }
    expect(sessions).toHaveLength(1);
  });

  it("lets a running call finish on a replaced session", async () => {
    const held: ServerHttp2Stream[] = [];
    const { connection, sessions } = await startPeer((stream, session) => {
      if (session === 0 && held.length === 0) held.push(stream);
      else if (session === 0) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      else answer(stream);
    });
    const first = call(connection);
    await eventually(async () => held.length === 1);
    await call(connection);
    expect(await call(connection)).toBe("answer");
    expect(sessions[0]?.destroyed).toBe(false);
    answer(held[0] as ServerHttp2Stream);
    expect(await first).toBe("answer");
    await eventually(async () => sessions[0]?.destroyed === true);
  });

  it("survives an error of a replaced session", async () => {
    const { connection, sessions } = await startPeer((stream, session) => {
      if (stream.id !== undefined && stream.id > 1 && session === 0) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      else if (session > 0) answer(stream);
    });
    const first = call(connection);
    await eventually(async () => sessions.length === 1);
    await call(connection);
    sessions[0]?.socket.resetAndDestroy();
    expect(await first).toBe("");
    expect(await call(connection)).toBe("answer");
    expect(sessions).toHaveLength(2);
  });

  it("reconnects after the peer has closed the session", async () => {
    const { connection, sessions } = await startPeer(answer);
    expect(await call(connection)).toBe("answer");
    sessions[0]?.close();
    // A call that is sent before the client has noticed this is refused.
    await eventually(async () => (await call(connection)) === "answer" && sessions.length === 2);
  });

  it("reaches a peer on which every session takes longer to open than a call can wait", async () => {
    const server = createServer((_request, response) => response.end("answer"));
    server.listen(0, "127.0.0.1");
    const slow = createTcpServer((client) => {
      client.pause().on("error", () => {});
      setTimeout(() => {
        const { port } = server.address() as AddressInfo;
        const upstream = connectSocket(port, "127.0.0.1").on("error", () => {});
        client.pipe(upstream).pipe(client);
      }, 3_000);
    });
    slow.listen(0, "127.0.0.1");
    await Promise.all([once(server, "listening"), once(slow, "listening")]);
    const connection = new ServiceConnection({ url: `http://127.0.0.1:${(slow.address() as AddressInfo).port}` });
    onTestFinished(() => {
      connection.stop();
      slow.close();
      server.close();
    });
    expect(await eventually(() => call(connection), 20_000)).toBe("answer");
  });

  it("fails with UNAVAILABLE every time while nothing listens", async () => {
    const connection = new ServiceConnection({ url: "http://127.0.0.1:1" });
    for (let count = 0; count < 2; count++) {
      await expect(connection.request("POST", "/", {})).rejects.toMatchObject({ code: Code.Unavailable });
    }
  });
});

describe("after many abandoned calls", () => {
  const LARGE = "x".repeat(900_000);

  async function startService() {
    const chain = rpcChain({
      log: createLogger("test", (line) => line, "silent"),
      serviceCredentials: { callerOf: () => undefined },
      async verifyToken() {
        const ids = { keyId: newId("key"), namespaceId: newId("ns"), accountId: newId("acc") };
        return { kind: "key", ...ids, scopes: ["keys:write"], lineage: [], expiresAt: undefined };
      },
    });
    const server = await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      ...chain,
      routes: ({ service }) => service(KeyService, { mintKey: () => ({ token: LARGE }) }),
    });
    onTestFinished(() => server.stop());
    return `http://127.0.0.1:${server.port}`;
  }

  it("serves calls after 100 deadlines have passed in the middle of large responses", async () => {
    // Keeps the event loop busy: afterwards the deadline has passed, and hardly any of the response has been read.
    const busy = (): void => {
      const until = performance.now() + 60;
      while (performance.now() < until);
    };
    let isBusy = true;
    const { connection } = await startPeer((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/proto" });
      stream.end(toBinary(MintKeyResponseSchema, create(MintKeyResponseSchema, { token: LARGE })));
      if (isBusy) setImmediate(busy);
    });
    const keys = createClient(KeyService, serviceTransport({ url: connection.authority, connection }));
    const mint = (timeoutMs: number) => keys.mintKey({ name: "a", scopes: ["keys:read"] }, { timeoutMs });
    const late = { code: Code.DeadlineExceeded };
    for (let count = 0; count < 100; count++) await expect(mint(50)).rejects.toMatchObject(late);
    isBusy = false;
    for (let count = 0; count < 5; count++) expect((await mint(30_000)).token).toBe(LARGE);
  }, 60_000);

  it("serves calls after 120 callers have hung up in the middle of large responses", async () => {
    const url = await startService();
    const connection = new ServiceConnection({ url });
    onTestFinished(() => connection.stop());
    const headers = { "content-type": "application/json", authorization: "Bearer rp_x" };
    const open = async () => {
      const stream = await connection.request("POST", `/${KeyService.typeName}/MintKey`, headers);
      stream.end(JSON.stringify({ name: "a", scopes: ["keys:read"] }));
      await once(stream, "response");
      return stream;
    };
    for (let round = 0; round < 6; round++) {
      const streams = await Promise.all(Array.from({ length: 20 }, open));
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
    }
    expect((await text(await open())).length).toBeGreaterThan(LARGE.length);
  }, 60_000);
});
