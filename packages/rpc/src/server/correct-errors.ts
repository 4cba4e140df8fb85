import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { toConnectError } from "../errors.ts";
import { safeText } from "../safe-text.ts";
import { messageFault } from "./parse-safely.ts";

type Handler = ConnectRouter["handlers"][number];
type Response = Awaited<ReturnType<Handler>>;

/**
 * Corrects the errors that the library writes itself, past all interceptors: for a request that cannot be parsed it quotes the
 * request or reports an internal error, and it escapes gRPC's trailers so that not every client can read them.
 */
export function correctErrors(routes: (router: ConnectRouter) => void): (router: ConnectRouter) => void {
  return (router) => {
    routes(router);
    const { handlers } = router;
    for (const [index, handler] of handlers.entries()) {
      handlers[index] = Object.assign(
        async (...call: Parameters<Handler>) => corrected(await handler(...call), handler),
        handler,
      );
    }
  };
}

async function corrected(response: Response, { method }: Handler): Promise<Response> {
  const { status, body: chunks, trailer } = response;
  if (chunks === undefined) return response;
  if (trailer !== undefined) return { ...response, body: withPlainGrpcMessage(chunks, trailer) };
  if (status < 400) return response;
  const header = new Headers(response.header);
  const received: Uint8Array[] = [];
  for await (const chunk of chunks) received.push(chunk);
  const error = withSafeMessage(decompressed(Buffer.concat(received), header.get("content-encoding")));
  const isUnreadable = error.startsWith(UNREADABLE);
  const body = Buffer.from(isUnreadable ? unreadableError(method) : error);
  header.delete("content-encoding");
  header.set("content-length", String(body.length));
  return { ...response, status: isUnreadable ? 400 : status, header, body: oneChunk(body) };
}

/** Beginning of the error for an unreadable binary message. The library reports it as its own fault, unlike unreadable JSON. */
const UNREADABLE = '{"code":"internal","message":"parse binary: ';

function unreadableError({ input }: DescMethod): string {
  return JSON.stringify(errorToJson(toConnectError(messageFault(`the message is not a ${input.typeName}`)), {}));
}

/** Decompresses a body. The server chooses between two encodings. */
function decompressed(bytes: Buffer, encoding: string | null): Buffer {
  if (encoding === "gzip") return gunzipSync(bytes);
  return encoding === "br" ? brotliDecompressSync(bytes) : bytes;
}

/** Rewrites the message of a Connect error in JSON. Its details are made by this package and quote nothing from outside. */
function withSafeMessage(bytes: Buffer): string {
  const error: unknown = JSON.parse(bytes.toString("utf8"));
  return JSON.stringify(error, (key, value: unknown) =>
    key === "message" && typeof value === "string" ? safeText(value) : value,
  );
}

async function* oneChunk(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

const GRPC_MESSAGE = "grpc-message";

/**
 * Passes a gRPC body on and, at its end, escapes the message in its trailer as gRPC specifies. The library escapes `:`, `,` and
 * the like too, which grpc-js does not undo: its callers would read of the scope `usage%3Aread`.
 */
async function* withPlainGrpcMessage(body: AsyncIterable<Uint8Array>, trailer: Headers): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } finally {
    const message = trailer.get(GRPC_MESSAGE);
    if (message !== null) trailer.set(GRPC_MESSAGE, percentEncoded(decodeURIComponent(message)));
  }
}

/** Percent-encodes everything that is not printable ASCII, and the percent sign. */
function percentEncoded(text: string): string {
  return text.replaceAll(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent);
}
