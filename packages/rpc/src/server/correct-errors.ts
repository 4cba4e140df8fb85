import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { toConnectError } from "../errors.ts";
import { safeText } from "../safe-text.ts";
import { withPlainMessage } from "./grpc-message.ts";
import { notTheMessage } from "./parse-safely.ts";

type Handler = ConnectRouter["handlers"][number];
type Answer = Awaited<ReturnType<Handler>>;

/**
 * Some errors the library writes where no interceptor comes by: a request that cannot be parsed is answered in words that quote
 * it, or as if it were a fault of the service, and gRPC's trailers are escaped so that not every client reads them. This puts
 * them right.
 */
export function correctErrors(routes: (router: ConnectRouter) => void): (router: ConnectRouter) => void {
  return (router) => {
    routes(router);
    const { handlers } = router;
    for (const [index, handler] of handlers.entries()) {
      handlers[index] = Object.assign(
        async (...call: Parameters<Handler>) => answered(await handler(...call), handler),
        handler,
      );
    }
  };
}

async function answered(answer: Answer, { method }: Handler): Promise<Answer> {
  const { status, body: pieces, trailer } = answer;
  if (pieces === undefined) return answer;
  if (trailer !== undefined) return { ...answer, body: withPlainMessage(pieces, trailer) };
  if (status < 400) return answer;
  const chunks: Uint8Array[] = [];
  for await (const chunk of pieces) chunks.push(chunk);
  const header = new Headers(answer.header);
  const error = safeError(decompressed(Buffer.concat(chunks), header.get("content-encoding")));
  const isUnreadable = error.startsWith(UNREADABLE);
  const body = Buffer.from(isUnreadable ? notOf(method) : error);
  header.delete("content-encoding");
  header.set("content-length", String(body.length));
  return { ...answer, status: isUnreadable ? 400 : status, header, body: onePiece(body) };
}

/** The library calls binary that it cannot read a fault of its own, and such JSON the caller's. Both are the caller's. */
const UNREADABLE = '{"code":"internal","message":"parse binary: ';

function notOf({ input }: DescMethod): string {
  return JSON.stringify(errorToJson(toConnectError(notTheMessage(`the message is not a ${input.typeName}`)), {}));
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
