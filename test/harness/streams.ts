import type OpenAI from "openai";
import { startFakeProvider, type FakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { openAiClient } from "./gateway.ts";

/** Upstream whose streams pause after the first word until `finish` is called. */
export interface SlowUpstream {
  readonly baseUrl: string;
  readonly requests: FakeProvider["requests"];
  finish(): void;
  close(): Promise<void>;
}

export async function startSlowUpstream(): Promise<SlowUpstream> {
  const pausedStreams = new Set<() => void>();
  const word = (content: string): string =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
  const usage = JSON.stringify({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 2 } });
  const server = await startFakeProvider((response, { body }) => {
    // A request without streaming is never answered.
    if (!body.includes('"stream":true')) return;
    response.writeHead(200, { "content-type": "text/event-stream" }).write(word("one"));
    pausedStreams.add(() => response.end(`${word(" two")}data: ${usage}\n\ndata: [DONE]\n\n`));
  });
  return {
    baseUrl: server.baseUrl,
    requests: server.requests,
    close: () => server.close(),
    finish() {
      for (const end of pausedStreams) end();
      pausedStreams.clear();
    },
  };
}

/** Opens a stream of the model `slow` at a gateway; resolves after its first word. */
export async function openStream(url: string, token: string) {
  const { data, request_id: requestId } = await openAiClient({ url }, token)
    .chat.completions.create({
      model: "slow",
      max_tokens: 10,
      stream: true,
      messages: [{ role: "user", content: "x" }],
    })
    .withResponse();
  const chunks = data[Symbol.asyncIterator]();
  const textOf = ({ value }: IteratorResult<OpenAI.ChatCompletionChunk>): string =>
    (value as OpenAI.ChatCompletionChunk | undefined)?.choices[0]?.delta.content ?? "";
  let text = textOf(await chunks.next());
  const rest = async (): Promise<string> => {
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) text += textOf(next);
    return text;
  };
  return { requestId, rest };
}

/** Awaits a call. @returns its error, or undefined, and the time that it took */
export async function timed<T>(work: Promise<T>): Promise<{ readonly error: unknown; readonly ms: number }> {
  const started = performance.now();
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error, ms: performance.now() - started };
}
