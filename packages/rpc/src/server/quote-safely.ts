import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { ConnectRouter } from "@connectrpc/connect";
import { safeText } from "../safe-text.ts";

type Handler = ConnectRouter["handlers"][number];
type Answer = Awaited<ReturnType<Handler>>;

/**
 * A request that cannot be parsed is answered before any interceptor runs, in words that quote it. This puts those words
 * right too.
 */
export function quoteSafely(routes: (router: ConnectRouter) => void): (router: ConnectRouter) => void {
  return (router) => {
    routes(router);
    const { handlers } = router;
    for (const [index, handler] of handlers.entries()) {
      handlers[index] = Object.assign(
        async (...call: Parameters<Handler>) => answered(await handler(...call)),
        handler,
      );
    }
  };
}

async function answered(answer: Answer): Promise<Answer> {
  if (answer.status < 400 || answer.body === undefined) return answer;
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  const header = new Headers(answer.header);
  const body = Buffer.from(safeError(decompressed(Buffer.concat(chunks), header.get("content-encoding"))));
  header.delete("content-encoding");
  header.set("content-length", String(body.length));
  return { ...answer, header, body: onePiece(body) };
}

/** By the two compressions that the server may choose. */
function decompressed(bytes: Buffer, encoding: string | null): Buffer {
  if (encoding === "gzip") return gunzipSync(bytes);
  return encoding === "br" ? brotliDecompressSync(bytes) : bytes;
}

/** A Connect error; its details were made by us and hold nothing that came from outside. */
function safeError(bytes: Buffer): string {
  const error: unknown = JSON.parse(bytes.toString("utf8"));
  return JSON.stringify(error, (key, value: unknown) =>
    key === "message" && typeof value === "string" ? safeText(value) : value,
  );
}

async function* onePiece(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
