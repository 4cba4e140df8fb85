import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { buffer } from "node:stream/consumers";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { VerificationService, VerifyKeyRequestSchema, VerifyKeyResponseSchema } from "@routeplane/contracts/auth";
import { withRequestId } from "@routeplane/runtime";
import { describe, expect, it, onTestFinished } from "vitest";
import { ServiceConnection } from "./service-connection.ts";
import { serviceTransport } from "./transport.ts";

type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void | Promise<void>;

/** Starts a peer that answers every stream so. @returns a client of it, and a call that resolves to its error */
async function startPeer(serve: Serve) {
  const server = createServer();
  server.on("session", (session) => session.on("error", () => {}));
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    void serve(stream, headers);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connection = new ServiceConnection({ url });
  onTestFinished(() => {
    connection.stop();
    server.close();
  });
  const client = createClient(VerificationService, serviceTransport({ url, connection, serviceToken: "token" }));
  const faultOf = async (options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<ConnectError> => {
    const error: unknown = await client.verifyKey({ token: "t" }, options).catch((fault: unknown) => fault);
    if (!(error instanceof ConnectError)) throw new Error("the call did not fail", { cause: error });
    return error;
  };
  return { client, faultOf };
}

const PROTO = { ":status": 200, "content-type": "application/proto" };
const RESPONSE = create(VerifyKeyResponseSchema, { outcome: { case: "refusal", value: { message: "no" } } });

describe("a unary call", () => {
  it("sends its message, deadline, credential, request id and headers, and returns message and headers", async () => {
    let received: { readonly headers: IncomingHttpHeaders; readonly body: Buffer } | undefined;
    const { client } = await startPeer(async (stream, headers) => {
      received = { headers, body: await buffer(stream) };
      stream.respond({ ...PROTO, "x-some": "value" });
      // In two pieces, as a large response comes.
      const bytes = toBinary(VerifyKeyResponseSchema, RESPONSE);
      stream.write(bytes.subarray(0, 1));
      setImmediate(() => stream.end(bytes.subarray(1)));
    });
    let answered: Headers | undefined;
    const options = { headers: { "x-own": "1" }, onHeader: (headers: Headers) => void (answered = headers) };
    const response = await withRequestId("req_1", () => client.verifyKey({ token: "t" }, options));
    expect(response.outcome).toMatchObject({ case: "refusal", value: { message: "no" } });
    expect(answered?.get("x-some")).toBe("value");
    expect(received?.headers).toMatchObject({
      ":path": "/routeplane.auth.v1.VerificationService/VerifyKey",
      "content-type": "application/proto",
      "connect-protocol-version": "1",
      "connect-timeout-ms": expect.stringMatching(/^\d{1,4}$/),
      authorization: "Bearer token",
      "x-request-id": "req_1",
      "x-own": "1",
    });
    expect(fromBinary(VerifyKeyRequestSchema, received?.body ?? new Uint8Array()).token).toBe("t");
  });

  it("fails with the error that the service returns", async () => {
    const { faultOf } = await startPeer((stream) => {
      stream.respond({ ":status": 404, "content-type": "application/json", "x-some": "value" });
      stream.end(JSON.stringify({ code: "not_found", message: "no such key" }));
    });
    const error = await faultOf();
    expect(error).toMatchObject({ code: Code.NotFound, rawMessage: "no such key" });
    expect(error.metadata.get("x-some")).toBe("value");
  });

  it.each([
    ["an error that is no JSON", { ":status": 502, "content-type": "text/html" }, "<html>", Code.Unavailable],
    ["damaged JSON", { ":status": 503, "content-type": "application/json" }, "{", Code.Unavailable],
    ["another type of content", { ":status": 200, "content-type": "text/plain" }, "fine", Code.Unknown],
    ["no content type", { ":status": 200 }, "fine", Code.Unknown],
    ["bytes that are no message", PROTO, Buffer.from([0xff, 0xff]), Code.Internal],
    ["more than 4 MiB", PROTO, Buffer.alloc((4 << 20) + 1), Code.ResourceExhausted],
  ])("fails in one way for %s", async (_, headers, body, code) => {
    const { faultOf } = await startPeer((stream) => {
      stream.respond(headers);
      stream.end(body);
    });
    expect(await faultOf()).toMatchObject({ code });
  });

  it("fails with UNAVAILABLE if its stream is reset, before and within the response", async () => {
    const { faultOf } = await startPeer((stream) => stream.close(2));
    expect(await faultOf()).toMatchObject({
      code: Code.Unavailable,
      message: expect.stringContaining("INTERNAL_ERROR"),
    });
    const within = await startPeer((stream) => {
      stream.respond(PROTO);
      stream.write(toBinary(VerifyKeyResponseSchema, RESPONSE), () => stream.destroy(new Error("broken")));
    });
    expect(await within.faultOf()).toMatchObject({ code: Code.Unavailable });
  });

  it("ends at its deadline and when it is cancelled, and resets its stream", async () => {
    const resets: Promise<unknown>[] = [];
    const began = Promise.withResolvers<void>();
    const { faultOf } = await startPeer((stream) => {
      resets.push(new Promise((resolve) => stream.once("close", () => resolve(stream.rstCode))));
      began.resolve();
    });
    const controller = new AbortController();
    const cancelled = faultOf({ signal: controller.signal });
    await began.promise;
    controller.abort(new Error("not needed"));
    expect(await cancelled).toMatchObject({ code: Code.Canceled, rawMessage: "not needed" });
    expect(await faultOf({ timeoutMs: 1_000 })).toMatchObject({ code: Code.DeadlineExceeded });
    expect(await faultOf({ signal: AbortSignal.abort() })).toMatchObject({ code: Code.Canceled });
    // CANCEL, and INTERNAL_ERROR for a deadline.
    expect(await Promise.all(resets.slice(0, 2))).toEqual([8, 2]);
  });

  it("ends at its deadline while it waits for a connection", async () => {
    const silent = createTcpServer((socket) => socket.on("error", () => {}));
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const connection = new ServiceConnection({ url });
    onTestFinished(() => {
      connection.stop();
      silent.close();
    });
    const { verifyKey } = createClient(VerificationService, serviceTransport({ url, connection }));
    await expect(verifyKey({ token: "t" }, { timeoutMs: 100 })).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  });
});
