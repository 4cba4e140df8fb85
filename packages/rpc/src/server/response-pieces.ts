import type { ConnectRouter } from "@connectrpc/connect";

/** Maximum number of bytes of one write to the HTTP/2 session. */
const PIECE_BYTES = 16 << 10;

/**
 * Sends every response in pieces, each written after the previous one has been sent. When a stream is reset, Node never returns the bytes
 * that were written and not yet sent to the memory account of the session (10 MB). With pieces, a caller that hangs up costs one piece
 * instead of a response of megabytes, ten of which would make the session refuse every stream.
 */
export function respondInPieces(routes: (router: ConnectRouter) => void): (router: ConnectRouter) => void {
  return (router) => {
    routes(router);
    const { handlers } = router;
    for (const [index, handler] of handlers.entries()) {
      const handle = async (...call: Parameters<typeof handler>) => {
        const response = await handler(...call);
        return response.body === undefined ? response : { ...response, body: inPieces(response.body) };
      };
      handlers[index] = Object.assign(handle, handler);
    }
  };
}

async function* inPieces(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const bytes of body) {
    if (bytes.length <= PIECE_BYTES) yield bytes;
    else for (let from = 0; from < bytes.length; from += PIECE_BYTES) yield bytes.subarray(from, from + PIECE_BYTES);
  }
}
