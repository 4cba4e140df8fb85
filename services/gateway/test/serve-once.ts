import type { UpstreamAnswer } from "../src/domain/ports/upstream.ts";
import { answeringUpstream } from "./fake-upstream.ts";
import { pipelineUnderTest, type PipelineUnderTestOptions } from "./pipeline-under-test.ts";

/**
 * Serves one request by an upstream that answers with these parts, and returns what the client, the upstream and the ledgers got.
 *
 * @param more members of the upstream's answer to replace
 */
export async function serveOnce(
  options: Omit<PipelineUnderTestOptions, "upstream">,
  body: object | string,
  contentType: string,
  parts: readonly string[],
  more: Partial<UpstreamAnswer> = {},
) {
  const upstream = answeringUpstream(contentType, parts, more);
  const { serve, sent, usage, budget } = pipelineUnderTest({ ...options, upstream });
  const { reply, refusal } = await serve(body);
  return { reply, refusal, sent, settlement: usage.settlements[0], spentNano: budget.spentNano };
}
