import { recogniseBody } from "../domain/response/answer-body.ts";
import type { SecretRedactor } from "../domain/response/secret-redactor.ts";
import { withoutSplitSecrets } from "../domain/response/split-secrets.ts";
import { type Upstream, type UpstreamAnswer, UpstreamFault, type UpstreamRequest } from "../domain/ports/upstream.ts";

/**
 * Decorates an upstream so that its answers hold no secret, neither in their bytes nor in their headers. Client, request log and
 * receipt only ever see redacted answers.
 */
export function redactingUpstream(upstream: Upstream, redactor: SecretRedactor): Upstream {
  if (redactor.isEmpty) return upstream;
  return {
    ...upstream,
    async send(request) {
      const answer = await answerOf(upstream, request, redactor);
      const { retryAfter, requestId, contentType } = answer;
      const whole = answer.whole && redactor.bytes(answer.whole);
      const body =
        whole === undefined ? redacted(answer.body, contentType, request.streamed, redactor) : onePiece(whole);
      const texts = {
        retryAfter: retryAfter && redactor.text(retryAfter),
        requestId: requestId && redactor.text(requestId),
      };
      return { ...answer, ...texts, body, whole };
    },
  };
}

async function answerOf(
  upstream: Upstream,
  request: UpstreamRequest,
  redactor: SecretRedactor,
): Promise<UpstreamAnswer> {
  try {
    return await upstream.send(request);
  } catch (error) {
    if (!(error instanceof UpstreamFault)) throw error;
    throw new UpstreamFault(error.kind, redactor.text(error.message), error.cause);
  }
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Redacts a body, as a stream if it is one, however it is labelled. */
async function* redacted(
  body: AsyncIterable<Uint8Array>,
  contentType: string,
  isStreamed: boolean,
  redactor: SecretRedactor,
): AsyncGenerator<Uint8Array> {
  const recognised = await recogniseBody(redactor.stream(body), contentType, isStreamed);
  yield* recognised.isStream ? withoutSplitSecrets(recognised.body, redactor.secrets) : recognised.body;
}
