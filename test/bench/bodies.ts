import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { startNode } from "../harness/index.ts";

/**
 * Measures the memory of a gateway with 100 bodies of 10 MB in flight: each is sent except for its last byte, so none is processed.
 *
 *     npm run bench -- test/bench/bodies.ts
 */

const BODIES = 100;
const BODY_BYTES = 10_000_000;

const node = await startNode();
try {
  const token = await node.apiKey();
  const pid = await node.pid("gateway");
  const before = await residentMiB(pid);
  const answers: string[] = [];
  const sockets = await Promise.all(Array.from({ length: BODIES }, () => send(token, answers)));
  let most = 0;
  for (let count = 0; count < 100; count++) {
    most = Math.max(most, await residentMiB(pid));
    await delay(100);
  }
  const refused = answers.filter((answer) => answer.startsWith("HTTP/1.1 503")).length;
  for (const socket of sockets) socket.destroy();
  await delay(2_000);
  const residentMebibytes = { before, most, after: await residentMiB(pid) };
  process.stdout.write(`${JSON.stringify({ residentMebibytes, refused })}\n`);
} finally {
  await node.remove();
}

async function send(token: string, answers: string[]): Promise<Socket> {
  const socket = connect(node.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.on("data", (answer: Buffer) => answers.push(answer.toString()));
  await once(socket, "connect");
  const head = ["POST /v1/chat/completions HTTP/1.1", "host: localhost", `authorization: Bearer ${token}`];
  socket.write([...head, `content-length: ${BODY_BYTES + 1}`, "", ""].join("\r\n"));
  socket.write(Buffer.alloc(BODY_BYTES, " "));
  return socket;
}

async function residentMiB(pid: number | undefined): Promise<number> {
  const [, kib = "0"] = /VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}
