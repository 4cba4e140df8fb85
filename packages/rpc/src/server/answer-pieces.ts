import type { ConnectRouter } from "@connectrpc/connect";

/** Bytes that one write hands to the HTTP/2 session at most. */
const PIECE_BYTES = 16 << 10;

/**
 * Sends every answer in pieces, each written once the one before has left. Node never gives back to the account of a session
 * what was written and not yet sent when its stream is reset: of a caller that leaves, that is one piece rather than an answer
 * of megabytes, ten of which would make the session refuse every stream.
 */
export function answerInPieces(routes: (router: ConnectRouter) => void): (router: ConnectRouter) => void {
  return (router) => {
    routes(router);
    const { handlers } = router;
    for (const [index, handler] of handlers.entries()) {
      const handle = async (...call: Parameters<typeof handler>) => {
        const answer = await handler(...call);
        return answer.body === undefined ? answer : { ...answer, body: inPieces(answer.body) };
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
