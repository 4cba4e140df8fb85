import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createRawServer, type Server } from "node:net";
import { ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { fromConnectError } from "./call-error.ts";
import { createNodeClient } from "./client.ts";

/** Server that sends `text` on every connection and closes it. */
function bytes(text: string, isReset = false): Server {
  return createRawServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => (isReset ? socket.resetAndDestroy() : socket.end(text)));
  });
}

function http(answer: RequestListener): Server {
  return createServer((request, response) => {
    request.resume();
    answer(request, response);
  });
}

const page = (status: number): Server =>
  http((_, response) => response.writeHead(status, { "content-type": "text/html" }).end("<h1>nginx</h1>"));
const proto = (body: Buffer): Server =>
  http((_, response) => response.writeHead(200, { "content-type": "application/proto" }).end(body));

/** Error of a call to a server, as the user sees it. */
async function errorOf(server: Server, scheme = "http"): Promise<{ reason: string; message: string }> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    return await callError(url);
  } finally {
    server.close();
  }
}

async function callError(url: string): Promise<{ reason: string; message: string }> {
  const client = createNodeClient({ url, token: "t", onSlow() {} });
  const error: unknown = await client.keys.listKeys({}).catch((reason: unknown) => reason);
  if (!(error instanceof ConnectError)) throw new Error("the call did not fail");
  return fromConnectError(error, url);
}

const BREAKS: readonly [string, () => Server][] = [
  ["resets the connection", () => bytes("", true)],
  ["closes it without an answer", () => bytes("")],
  [
    "breaks off in its answer",
    () => bytes("HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 9\r\n\r\nab"),
  ],
];

describe("a call that no node answers", () => {
  it.each(["http://127.0.0.1:1", "http://nobody.invalid"])("reports that nothing is at %s", async (url) => {
    expect(await callError(url)).toMatchObject({
      reason: "NODE_UNREACHABLE",
      message: expect.stringContaining(`no node answers at ${url}`) as unknown,
    });
  });

  it.each(BREAKS)("reports that the connection broke off: the server %s", async (_, open) => {
    expect(await errorOf(open())).toMatchObject({
      reason: "NODE_UNREACHABLE",
      message: expect.stringContaining("broke off") as unknown,
    });
  });

  it.each<[string, string, string, () => Server]>([
    ["an answer that is too large", "ANSWER_TOO_LARGE", "larger than the 16 MiB", () => proto(Buffer.alloc(17 << 20))],
    ["bytes that are no message", "ANSWER_UNINTELLIGIBLE", "parse binary", () => proto(Buffer.from([255, 255]))],
    ["bytes that are no HTTP", "ANSWER_UNINTELLIGIBLE", "Parse Error", () => bytes("SSH-2.0-OpenSSH_9\r\n")],
    ["a page", "ANSWER_UNINTELLIGIBLE", "text/html", () => page(200)],
    ["a redirect", "ANSWER_UNINTELLIGIBLE", "HTTP 301", () => page(301)],
    ["not found", "ANSWER_UNINTELLIGIBLE", "HTTP 404", () => page(404)],
    ["a proxy's 413", "PROXY_REFUSED", "HTTP 413", () => page(413)],
    ["a proxy's 431", "PROXY_REFUSED", "HTTP 431", () => page(431)],
    ["a proxy's 502", "PROXY_REFUSED", "HTTP 502", () => page(502)],
    ["a proxy's 504", "PROXY_REFUSED", "HTTP 504", () => page(504)],
  ])("but that gets %s says that, and not that there is no node", async (_, reason, words, open) => {
    const error = await errorOf(open());
    expect(error).toMatchObject({ reason, message: expect.stringContaining(words) as unknown });
    expect(error.message).not.toContain("no node answers");
  });

  it("reports that the server speaks no TLS", async () => {
    expect(await errorOf(page(200), "https")).toMatchObject({ reason: "TLS_FAILED" });
  });

  it.each([
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "CERT_HAS_EXPIRED",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "ERR_TLS_CERT_ALTNAME_INVALID",
  ])("because its certificate is not trusted says so: %s", (code) => {
    const error = ConnectError.from(Object.assign(new Error("bad certificate"), { code }));
    expect(fromConnectError(error, "https://node.example")).toMatchObject({
      reason: "TLS_FAILED",
      message: `the certificate of https://node.example is not trusted (${code})`,
    });
  });
});
