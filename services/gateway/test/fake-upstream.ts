import {
  type Upstream,
  type UpstreamAnswer,
  UpstreamFault,
  type UpstreamFaultKind,
} from "../src/domain/ports/upstream.ts";
import { boundTokens } from "../src/domain/request/token-bounds.ts";

/** Fake `Upstream` that answers every request with these chunks. @param more members of the answer to replace, e.g. its status */
export function answeringUpstream(
  contentType: string,
  chunks: readonly string[],
  more: Partial<UpstreamAnswer> = {},
): Upstream {
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  const head = { status: 200, contentType, retryAfter: undefined, requestId: undefined };
  const answer = { ...head, body: body(), discard() {}, ...more };
  return { boundTokens, send: async () => answer, async close() {} };
}

/** Fake `Upstream` that fails before the head of an answer. */
export function failingUpstream(kind: UpstreamFaultKind): Upstream {
  return { boundTokens, send: () => Promise.reject(new UpstreamFault(kind, "no")), async close() {} };
}

/** Body of an answer that breaks off after one chunk. */
export async function* breakingAfter(chunk: string, kind: UpstreamFaultKind = "broken"): AsyncGenerator<Uint8Array> {
  yield Buffer.from(chunk);
  throw new UpstreamFault(kind, "connection reset");
}
