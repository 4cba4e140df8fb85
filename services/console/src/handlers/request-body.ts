import type { IncomingMessage } from "node:http";
import { Code } from "@connectrpc/connect";
import { Refusal } from "./refusal.ts";

/** Maximum pause between two chunks of a body. */
const IDLE_TIMEOUT_MS = 10_000;

/**
 * Reads the whole body. It uses events rather than iteration, which would destroy the connection when it stops: a client that sends too
 * much must be able to read the refusal. The rest of its body is dropped.
 *
 * @throws Refusal 413; 408 if the body stops arriving; 400 if the client disconnects first
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
    const chunks: Buffer[] = [];
    let size = 0;
    const stop = (refusal: Refusal): void => {
      clearTimeout(timer);
      request.off("data", onData).resume();
      reject(refusal);
    };
    const timer = setTimeout(
      () => stop(new Refusal(408, Code.DeadlineExceeded, "the request body stopped arriving", CLOSING)),
      IDLE_TIMEOUT_MS,
    );
    const onData = (chunk: Buffer): void => {
      timer.refresh();
      size += chunk.length;
      if (size > maxBytes) return stop(tooLarge(maxBytes));
      chunks.push(chunk);
    };
    request.on("data", onData);
    request.once("end", () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks, size));
    });
    request.once("close", () => {
      clearTimeout(timer);
      if (!request.complete) reject(new Refusal(400, Code.InvalidArgument, "the request body is not complete"));
    });
  });
}

/** Header that closes the connection, because the rest of the body is not read. */
const CLOSING = { connection: "close" };

function tooLarge(maxBytes: number): Refusal {
  return new Refusal(413, Code.ResourceExhausted, `the request body is larger than ${maxBytes} bytes`, CLOSING);
}
