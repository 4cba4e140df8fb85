import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { DescMethod, JsonValue } from "@bufbuild/protobuf";
import { ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { codeToHttpStatus, errorFromJson, errorToJson } from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { fromLibraryError } from "../errors.ts";
import { safeText } from "../safe-text.ts";

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
  if (trailer !== undefined) return { ...response, body: withCorrectTrailer(chunks, trailer, method) };
  if (status < 400) return response;
  const header = new Headers(response.header);
  const received: Uint8Array[] = [];
  for await (const chunk of chunks) received.push(chunk);
  const json: unknown = JSON.parse(
    decompressed(Buffer.concat(received), header.get("content-encoding")).toString("utf8"),
  );
  const error = fromLibraryError(errorFromJson(json as JsonValue, undefined, new ConnectError("")), method);
  const body = Buffer.from(error === undefined ? withSafeMessage(json) : JSON.stringify(errorToJson(error, undefined)));
  header.delete("content-encoding");
  header.set("content-length", String(body.length));
  return {
    ...response,
    status: error === undefined ? status : codeToHttpStatus(error.code),
    header,
    body: oneChunk(body),
  };
}

/** Decompresses a body. The server chooses between two encodings. */
function decompressed(bytes: Buffer, encoding: string | null): Buffer {
  if (encoding === "gzip") return gunzipSync(bytes);
  return encoding === "br" ? brotliDecompressSync(bytes) : bytes;
}

/** Rewrites the message of a Connect error in JSON. Its details are made by this package and quote nothing from outside. */
function withSafeMessage(error: unknown): string {
  return JSON.stringify(error, (key, value: unknown) =>
    key === "message" && typeof value === "string" ? safeText(value) : value,
  );
}

async function* oneChunk(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

const GRPC_MESSAGE = "grpc-message";

/**
 * Passes a gRPC body on and, at its end, corrects the error in its trailer, and escapes its message as gRPC specifies. The library
 * escapes `:`, `,` and the like too, which grpc-js does not undo: its callers would read of the scope `usage%3Aread`.
 */
async function* withCorrectTrailer(
  body: AsyncIterable<Uint8Array>,
  trailer: Headers,
  method: DescMethod,
): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } finally {
    const received = findTrailerError(trailer);
    const error = received && fromLibraryError(received, method);
    if (error !== undefined) setTrailerStatus(trailer, error);
    const message = trailer.get(GRPC_MESSAGE);
    if (message !== null) trailer.set(GRPC_MESSAGE, percentEncoded(decodeURIComponent(message)));
  }
}

/** Percent-encodes everything that is not printable ASCII, and the percent sign. */
function percentEncoded(text: string): string {
  return text.replaceAll(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent);
}
