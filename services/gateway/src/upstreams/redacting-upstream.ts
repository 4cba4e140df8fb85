import type { SecretRedactor } from "../domain/response/secret-redactor.ts";
import { withoutSplitSecrets } from "../domain/response/split-secrets.ts";
import type { Upstream } from "../domain/ports/upstream.ts";

/**
 * Decorates an upstream so that its answers hold no secret, neither in their bytes nor in their headers. Client, request log and
 * receipt only ever see redacted answers.
 */
export function redactingUpstream(upstream: Upstream, redactor: SecretRedactor): Upstream {
  if (redactor.isEmpty) return upstream;
  return {
    ...upstream,
    async chatCompletion(request) {
      const answer = await upstream.chatCompletion(request);
      const { retryAfter, requestId, contentType } = answer;
      const bytes = redactor.stream(answer.body);
      const isStream = contentType === "text/event-stream" || (request.streamed && contentType === "");
      const body = isStream ? withoutSplitSecrets(bytes, redactor.secrets) : bytes;
      const texts = {
        retryAfter: retryAfter && redactor.text(retryAfter),
        requestId: requestId && redactor.text(requestId),
      };
      return { ...answer, ...texts, body };
    },
  };
}
