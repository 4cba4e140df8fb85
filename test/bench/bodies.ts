import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startNode, type TestNode } from "../harness/index.ts";

/**
 * Measures the memory of a gateway: with 100 bodies of 10 MB in flight, each sent except for its last byte, so that none is
 * processed; and with one photo of 50 MB on its way to an upstream that does not answer yet.
 *
 *     npm run bench -- test/bench/bodies.ts
 */

const BODIES = 100;
const BODY_BYTES = 10_000_000;
const PHOTO_BYTES = 50_000_000;

const upstream = createServer((request, response) => {
  const answer = JSON.stringify({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } });
  request.resume().on("end", () => {
    setTimeout(() => response.setHeader("content-type", "application/json").end(answer), 3_000);
  });
});
upstream.listen(0, "127.0.0.1");
await once(upstream, "listening");
const folder = await mkdtemp(join(tmpdir(), "routeplane-bench-"));
const providers = join(folder, "providers.yaml");
const model = "{id: slow, price: {input_usd_per_mtok: 0.001, output_usd_per_mtok: 0.001}}";
const { port } = upstream.address() as AddressInfo;
await writeFile(
  providers,
  `providers: [{name: own, protocol: openai, base_url: "http://127.0.0.1:${port}/v1", models: [${model}]}]`,
);
const node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
try {
  const token = await node.apiKey();
  const pid = await node.pid("gateway");
  for (const shape of ["ASCII", "with an emoji"]) {
    const photo = photoBody(shape === "ASCII" ? "what is this?" : "what is this? 😀");
    await delay(2_000);
    const before = await residentMiB(pid);
    const { value: status, mebibytes } = await highest(pid, () => post(node, token, photo));
    const perByte = ((mebibytes - before) * 2 ** 20) / photo.length;
    process.stdout.write(
      `${JSON.stringify({ photo: shape, status, before, most: mebibytes, perByte: perByte.toFixed(2) })}\n`,
    );
  }
  const before = await residentMiB(pid);
  const answers: string[] = [];
  const { value: sockets, mebibytes: most } = await highest(pid, async () => {
    const opened = await Promise.all(Array.from({ length: BODIES }, () => send(node, token, answers)));
    await delay(10_000);
    return opened;
  });
  const refused = answers.filter((answer) => answer.startsWith("HTTP/1.1 503")).length;
  for (const socket of sockets) socket.destroy();
  await delay(2_000);
  const residentMebibytes = { before, most, after: await residentMiB(pid) };
  process.stdout.write(`${JSON.stringify({ residentMebibytes, refused })}\n`);
} finally {
  await node.remove();
  upstream.close();
  await rm(folder, { recursive: true, force: true });
}

function photoBody(question: string): Buffer {
  const url = `data:image/jpeg;base64,${"QUJD".repeat(PHOTO_BYTES / 4)}`;
  const content = [
    { type: "text", text: question },
    { type: "image_url", image_url: { url } },
  ];
  return Buffer.from(JSON.stringify({ model: "slow", messages: [{ role: "user", content }], max_tokens: 5 }));
}

async function post({ url }: TestNode, token: string, body: Buffer): Promise<number> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
  await response.arrayBuffer();
  return response.status;
}

async function send({ port: nodePort }: TestNode, token: string, answers: string[]): Promise<Socket> {
  const socket = connect(nodePort, "127.0.0.1");
  socket.on("error", () => {});
  socket.on("data", (answer: Buffer) => answers.push(answer.toString()));
  await once(socket, "connect");
  const head = ["POST /v1/chat/completions HTTP/1.1", "host: localhost", `authorization: Bearer ${token}`];
  socket.write([...head, `content-length: ${BODY_BYTES + 1}`, "", ""].join("\r\n"));
  socket.write(Buffer.alloc(BODY_BYTES, " "));
  return socket;
}

/** Runs work, and samples the memory of a process meanwhile. */
async function highest<T>(pid: number | undefined, work: () => Promise<T>): Promise<{ value: T; mebibytes: number }> {
  let mebibytes = 0;
  const done = new AbortController();
  const sampled = (async () => {
    for (; !done.signal.aborted; await delay(20)) mebibytes = Math.max(mebibytes, await residentMiB(pid));
  })();
  const value = await work().finally(() => done.abort());
  await sampled;
  return { value, mebibytes };
}

async function residentMiB(pid: number | undefined): Promise<number> {
  const [, kib = "0"] = /VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}
