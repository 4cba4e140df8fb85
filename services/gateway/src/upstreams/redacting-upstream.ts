import { recogniseBody } from "../domain/response/answer-body.ts";
import type { SecretRedactor } from "../domain/response/secret-redactor.ts";
import { withoutSplitSecrets } from "../domain/response/split-secrets.ts";
import { type Upstream, UpstreamFault } from "../domain/ports/upstream.ts";

/**
 * Decorates an upstream so that its answers hold no secret, neither in their bytes nor in their headers. Client, request log and
 * receipt only ever see redacted answers.
 */
export function redactingUpstream(upstream: Upstream, redactor: SecretRedactor): Upstream {
  if (redactor.isEmpty) return upstream;
  return {
    ...upstream,
    async chatCompletion(request) {
      const answer = await upstream.chatCompletion(request).catch((error: unknown) => {
        if (!(error instanceof UpstreamFault)) throw error;
        throw new UpstreamFault(error.kind, redactor.text(error.message), error.cause);
      });
      const { retryAfter, requestId, contentType } = answer;
      const body = redacted(answer.body, contentType, request.streamed, redactor);
      const texts = {
        retryAfter: retryAfter && redactor.text(retryAfter),
        requestId: requestId && redactor.text(requestId),
      };
      return { ...answer, ...texts, body };
    },
  };
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
