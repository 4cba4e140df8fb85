import type { SecretRedactor } from "../domain/response/secret-redactor.ts";
import { withoutSplitSecrets } from "../domain/response/split-secrets.ts";
import type { Upstream } from "../domain/ports/upstream.ts";

/**
 * An upstream whose answers hold no secret: neither their bytes nor their headers. Whatever is made of an answer (for the
 * client, the usage log, the receipt) is made of that.
 */
export function redactingUpstream(upstream: Upstream, redactor: SecretRedactor): Upstream {
  if (redactor.isEmpty) return upstream;
  return {
    ...upstream,
    async chatCompletion(request) {
      const answer = await upstream.chatCompletion(request);
      const { retryAfter, contentType } = answer;
      const bytes = redactor.stream(answer.body);
      const isStream = contentType === "text/event-stream" || (request.streamed && contentType === "");
      const body = isStream ? withoutSplitSecrets(bytes, redactor.secrets) : bytes;
      return { ...answer, retryAfter: retryAfter && redactor.text(retryAfter), body };
    },
  };
}
