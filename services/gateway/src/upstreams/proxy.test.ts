import { once } from "node:events";
import { createServer, type IncomingMessage, request as httpRequest } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import tls from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { sendJson, startFakeProvider } from "../../test/fake-provider.ts";
import { collect } from "../domain/response/answer-body.ts";
import { createHttpUpstream } from "./http-upstream.ts";
import type { Proxy } from "./proxy.ts";

const AUTHORIZATION = `Basic ${Buffer.from("me:secret").toString("base64")}`;

/** HTTP proxy that reaches every host on this machine, and records what it is asked for. */
async function startProxy(answer: "works" | 407 | 502 | "silence" = "works") {
  const asked: { readonly line: string; readonly authorization: string | undefined }[] = [];
  const record = ({ method, url, headers }: IncomingMessage): void => {
    asked.push({ line: `${method} ${url}`, authorization: headers["proxy-authorization"] });
  };
  const server = createServer((request, response) => {
    record(request);
    if (answer !== "works") return answer === "silence" ? undefined : void response.writeHead(answer).end();
    const { port, pathname, search } = new URL(request.url ?? "");
    const headers = { ...request.headers };
    delete headers["proxy-authorization"];
    const forwarded = httpRequest({ port, path: `${pathname}${search}`, method: request.method, headers });
    forwarded.on("response", (from) => {
      response.writeHead(from.statusCode ?? 502, from.headers);
      from.pipe(response);
    });
    request.pipe(forwarded);
  });
  server.on("connect", (request, client) => {
    record(request);
    client.on("error", () => {});
    if (answer === "silence") return;
    if (answer !== "works") return void client.end(`HTTP/1.1 ${answer} No\r\n\r\n`);
    const target = connect(Number(request.url?.split(":")[1]), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      target.pipe(client).pipe(target);
    });
    target.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { asked, proxy: { origin: new URL(`http://127.0.0.1:${port}`), authorization: AUTHORIZATION } };
}

function send(baseUrl: string, proxy: Proxy, connectMs = 5_000) {
  const call = { headers: {}, query: "a=b", timeouts: { connectMs } };
  const upstream = createHttpUpstream({ baseUrl: new URL(baseUrl), apiKey: "k", proxy, call });
  onTestFinished(() => upstream.close());
  return upstream.send({ wire: "chat", model: "m", body: "{}", streamed: false, signal: new AbortController().signal });
}

describe("a proxy of a plain upstream", () => {
  it("forwards its requests, and keeps its own credentials", async () => {
    const provider = await startFakeProvider((response) => sendJson(response, 200, { ok: 1 }));
    onTestFinished(() => provider.close());
    const { asked, proxy } = await startProxy();
    const baseUrl = provider.baseUrl.replace("127.0.0.1", "upstream.test");
    const { status, body } = await send(baseUrl, proxy);
    expect([status, (await collect(body, 1_000)).toString()]).toEqual([200, '{"ok":1}']);
    const line = `POST ${baseUrl}/chat/completions?a=b`;
    expect(asked).toEqual([{ line, authorization: AUTHORIZATION }]);
    expect(provider.requests).toMatchObject([
      { path: "/v1/chat/completions?a=b", headers: { host: new URL(baseUrl).host, authorization: "Bearer k" } },
    ]);
    expect(provider.requests[0]?.headers).not.toHaveProperty("proxy-authorization");
  });

  it("that refuses its credentials has sent nothing", async () => {
    const { proxy } = await startProxy(407);
    await expect(send("http://upstream.test/v1", proxy)).rejects.toMatchObject({ kind: "unreachable", isSent: false });
  });

  it("that does not listen has sent nothing", async () => {
    const proxy = { origin: new URL("http://127.0.0.1:9"), authorization: undefined };
    await expect(send("http://upstream.test/v1", proxy)).rejects.toMatchObject({ isSent: false });
  });
});

describe("a proxy of an upstream with TLS", () => {
  it("opens a tunnel to it, and sees neither request nor key", async () => {
    const trusted = tls.getCACertificates();
    tls.setDefaultCACertificates([...trusted, CERTIFICATE]);
    onTestFinished(() => tls.setDefaultCACertificates(trusted));
    const received: (string | undefined)[] = [];
    const server = createTlsServer({ key: KEY, cert: CERTIFICATE }, (request, response) => {
      received.push(`${request.headers.host} ${request.url} ${request.headers.authorization}`);
      response.end("{}");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { asked, proxy } = await startProxy();
    expect((await send(`https://upstream.test:${port}/v1`, proxy)).status).toBe(200);
    expect(asked).toEqual([{ line: `CONNECT upstream.test:${port}`, authorization: AUTHORIZATION }]);
    expect(received).toEqual([`upstream.test:${port} /v1/chat/completions?a=b Bearer k`]);
  });

  it.each([
    ["refuses its credentials", 407, "unreachable"],
    ["cannot reach the upstream", 502, "unreachable"],
    ["does not answer", "silence", "connect_timeout"],
  ] as const)("that %s has sent nothing", async (_, answer, kind) => {
    const { asked, proxy } = await startProxy(answer);
    await expect(send("https://upstream.test/v1", proxy, 200)).rejects.toMatchObject({ kind, isSent: false });
    expect(asked.map(({ line }) => line)).toEqual(["CONNECT upstream.test:443"]);
  });

  it("that leads to something else than the upstream has sent nothing", async () => {
    const provider = await startFakeProvider((response) => sendJson(response, 200, {}));
    onTestFinished(() => provider.close());
    const { proxy } = await startProxy();
    const baseUrl = provider.baseUrl.replace("http://127.0.0.1", "https://upstream.test");
    await expect(send(baseUrl, proxy, 1_000)).rejects.toMatchObject({ isSent: false });
    expect(provider.requests).toEqual([]);
  });
});

/** Key of the certificate below, which names `upstream.test` and is trusted by this test alone. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgydPRsj+AT4Tgy4LD
eX532ruG+J816uBpQXElNn8weyehRANCAAQd03gx/BWtkyegFmr2nArAco6cnYEh
N4cVxOG+XW3DX/pC9xOCIgcpSqJqAX8T8G24Rasr0BXvxdQFSkVJFf1H
-----END PRIVATE KEY-----
`;
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA11cHN0cmVh
bS50ZXN0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYD
VQQDDA11cHN0cmVhbS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEHdN4
MfwVrZMnoBZq9pwKwHKOnJ2BITeHFcThvl1tw1/6QvcTgiIHKUqiagF/E/BtuEWr
K9AV78XUBUpFSRX9R6NSMFAwDwYDVR0TAQH/BAUwAwEB/zAeBgNVHREEFzAVgg11
cHN0cmVhbS50ZXN0hwR/AAABMB0GA1UdDgQWBBRhz1sCvuPVhKUiHemR+lU4Sss5
UTAKBggqhkjOPQQDAgNIADBFAiEAmmEmtbM3uK30To9IcDv3ojilUZd9cqrsJcQ1
bNfxgWoCIGmtnWihckxq+IhrSpP1sR0aWV14xGe+qxKT2zzGuGZ8
-----END CERTIFICATE-----
`;
