import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Http2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { ServiceConnection } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";
import { startManagement } from "./management-under-test.ts";

const READ = "/routeplane.usage.v1.UsageService/GetUsage";
const WRITE = "/routeplane.auth.v1.KeyService/MintKey";

/** Answers a call. */
type Serve = (stream: ServerHttp2Stream) => void;

const done: Serve = (stream) => {
  stream.respond({ ":status": 200, "content-type": "application/json" });
  stream.end("{}");
};
const unavailable: Serve = (stream) => {
  stream.respond({ ":status": 503, "content-type": "application/json" });
  stream.end('{"code":"unavailable","message":"the process is stopping"}');
};
/** Like the kernel when a process is killed: ends the connection without a further frame. */
const die: Serve = (stream) => void stream.session?.socket.destroy();
/** A process of its own that answers every call, and writes its port. */
const PROCESS = `
  const server = require("node:http2").createServer().on("stream", ${done.toString()});
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;

/** Starts processes of a service at addresses of their own. @returns a connection to all of them */
async function startProcesses(serve: readonly Serve[]): Promise<ServiceConnection> {
  let port = 0;
  const addresses = serve.map((_, index) => `127.0.0.${index + 1}`);
  for (const [index, answer] of serve.entries()) {
    const sessions = new Set<Http2Session>();
    const server = createServer();
    server.on("session", (session) => sessions.add(session.on("error", () => {})));
    server.on("stream", (stream) => answer(stream.on("error", () => {})));
    server.listen(port, addresses[index]);
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
    onTestFinished(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
  }
  return new ServiceConnection({ url: `http://service.test:${port}`, resolve: async () => addresses });
}

const call = (url: string, path: string): Promise<Response> => fetch(url + path, { method: "POST", body: "{}" });

it("repeats a read on another process if one is unavailable, but never a write", async () => {
  let refused = 0;
  const refuse: Serve = (stream) => {
    refused++;
    unavailable(stream);
  };
  const url = await startManagement(await startProcesses([refuse, done]));
  const statuses = new Set<number>();
  await eventually(async () => {
    statuses.add((await call(url, READ)).status);
    return refused >= 3;
  });
  expect([...statuses]).toEqual([200]);
  refused = 0;
  await eventually(async () => (await call(url, WRITE)).status === 503);
  expect(refused).toBe(1);
});

it("answers with the error of the service when none of its processes is available", async () => {
  const url = await startManagement(await startProcesses([unavailable, unavailable]));
  const response = await call(url, READ);
  expect([response.status, await response.json()]).toMatchObject([503, { message: "the process is stopping" }]);
});

it("reports the outcome of an unanswered write as unknown, and never repeats the write", async () => {
  let calls = 0;
  const take: Serve = (stream) => {
    calls++;
    die(stream);
  };
  const url = await startManagement(await startProcesses([take, take]));
  const response = await call(url, WRITE);
  const message = expect.stringContaining("and may have done the call") as string;
  const details = [{ debug: { metadata: { dependency: "auth", outcome: "unknown" } } }];
  expect([response.status, await response.json()]).toMatchObject([503, { code: "unavailable", message, details }]);
  expect(calls).toBe(1);
});

it("gives up a write to a suspended process within 3 s", async () => {
  const child = spawn(process.execPath, ["--eval", PROCESS], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [port] = (await once(child.stdout, "data")) as [Buffer];
  const url = await startManagement(`http://127.0.0.1:${Number(port.toString())}`);
  expect((await call(url, WRITE)).status).toBe(200);
  child.kill("SIGSTOP");
  const startedAt = performance.now();
  const response = await call(url, WRITE);
  expect([response.status, await response.text()]).toMatchObject([
    503,
    expect.stringContaining("may have done the call"),
  ]);
  // A busy machine needs somewhat longer.
  expect(performance.now() - startedAt).toBeLessThan(3_500);
});
