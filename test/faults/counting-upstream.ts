import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { sendJson, startFakeProvider } from "../../services/gateway/test/fake-provider.ts";

/** Provider that counts its requests. A request is identified by its `max_tokens` n, and uses n output tokens. */
export interface CountingUpstream {
  readonly baseUrl: string;
  /** Number of times that each n was received. */
  readonly seen: ReadonlyMap<number, number>;
  /** Cost of all requests that were received, in micro-USD. */
  readonly spentMicroUsd: number;
  /** Resets the counts. */
  reset(): void;
  close(): Promise<void>;
}

/** Price at which request n reserves and costs n micro-USD: one for each output token, input is free. */
export const COUNTED_PRICE = "price: {input_usd_per_mtok: 0, output_usd_per_mtok: 1}";

/**
 * Maximum delay of a response. It is most of the time of a request, so that most requests are at the upstream at any kill. It is longer in
 * the short form: the same number of concurrent requests then takes half the CPU time.
 */
const MAX_DELAY_MS = process.env["ROUTEPLANE_FAULTS"] === "full" ? 150 : 300;

export async function startCountingUpstream(): Promise<CountingUpstream> {
  const seen = new Map<number, number>();
  const server = await startFakeProvider(async (response, { body }) => {
    const { max_tokens: n, stream = false } = JSON.parse(body) as { max_tokens: number; stream?: boolean };
    seen.set(n, (seen.get(n) ?? 0) + 1);
    await delay(Math.random() * MAX_DELAY_MS);
    const usage = { prompt_tokens: 1, completion_tokens: n };
    if (stream) await streamAnswer(response, usage);
    else
      sendJson(response, 200, { choices: [{ index: 0, message: { role: "assistant", content: "counted" } }], usage });
  });
  return {
    baseUrl: server.baseUrl,
    seen,
    get spentMicroUsd() {
      return seen.entries().reduce((sum, [n, times]) => sum + n * times, 0);
    },
    reset: () => seen.clear(),
    close: () => server.close(),
  };
}

async function streamAnswer(response: ServerResponse, usage: { readonly completion_tokens: number }): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const content of ["one", " two", " three"].slice(0, usage.completion_tokens)) {
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
    await delay(Math.random() * 20);
  }
  response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
}
