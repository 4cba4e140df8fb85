import { ChatAnthropic } from "@langchain/anthropic";
import {
  AIMessage,
  type AIMessageChunk,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
  type UsageMetadata,
} from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { expect } from "vitest";
import { ANSWER, CITY, PNG, prompt, RECORD, RECORD_SCHEMA, SYSTEM, TOOL, weatherOf } from "../scenarios.ts";
import type { UpstreamWire } from "../upstream/received.ts";
import { USAGE } from "../upstream/turn.ts";
import { type Client, collect, expectUsage, failureOf, MAX_TOKENS, type Target } from "./client.ts";

interface Settings {
  readonly maxTokens: number;
  readonly thinks: boolean;
}
type ModelOf = (target: Target, settings: Settings) => ChatOpenAI | ChatAnthropic;

const tool = { name: TOOL.name, description: TOOL.description, schema: structuredClone<object>(TOOL.schema) };

/** A chat model of LangChain.js: whole and streamed messages, tools, structured output. */
function langChain(name: string, wire: UpstreamWire, modelOf: ModelOf, thinks: boolean): Client {
  const model = (target: Target, more: Partial<Settings> = {}) =>
    modelOf(target, { maxTokens: MAX_TOKENS, thinks: false, ...more });
  const ask = async (target: Target, scenario: string, ...more: BaseMessage[]): Promise<string> =>
    (await model(target).invoke([new HumanMessage(prompt(scenario)), ...more])).text;
  const run = async (target: Target, scenario: string, stream: boolean, thinking = false): Promise<void> => {
    const bound = model(target, { thinks: thinking }).bindTools([tool]);
    const messages: BaseMessage[] = [new HumanMessage(prompt(scenario))];
    for (let round = 0; round < 3; round++) {
      const answer = stream ? joined(await collect(await bound.stream(messages))) : await bound.invoke(messages);
      const { tool_calls: calls = [] } = answer;
      if (calls.length === 0) return expect(answer.text).toBe(ANSWER);
      messages.push(answer);
      for (const { id = "", args } of calls) {
        messages.push(new ToolMessage({ tool_call_id: id, content: weatherOf((args as { city: string }).city) }));
      }
    }
    throw new Error("the model called tools without end");
  };
  return {
    name,
    checks: {
      async text(target) {
        const answer = await model(target).invoke(prompt("text"));
        const usage = usageOf(answer);
        expect(answer.text).toBe(ANSWER);
        expectUsage(usage?.input_tokens, usage?.input_token_details?.cache_read, usage?.output_tokens);
      },
      async stream(target) {
        const chunks = await collect(await model(target).stream(prompt("text")));
        expect(chunks.filter(({ text }) => text !== "").length).toBeGreaterThan(3);
        const answer = joined(chunks);
        const usage = usageOf(answer);
        expect(answer.text).toBe(ANSWER);
        if (wire === "messages") return expectFirstCounts(usage);
        expectUsage(usage?.input_tokens, usage?.input_token_details?.cache_read, usage?.output_tokens);
      },
      async system(target) {
        const messages = [new SystemMessage(SYSTEM), new HumanMessage(prompt("system"))];
        expect((await model(target).invoke(messages)).text).toBe(ANSWER);
      },
      async history(target) {
        const text = await ask(target, "history", new AIMessage(ANSWER), new HumanMessage("Thanks."));
        expect(text).toBe("You are welcome.");
      },
      async length(target) {
        expect((await model(target, { maxTokens: 20 }).invoke(prompt("length"))).text).toBe("Zürich has");
      },
      async image(target) {
        const content = [
          { type: "text", text: prompt("image") },
          { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } },
        ];
        expect((await model(target).invoke([new HumanMessage({ content })])).text).toBe("A red pixel.");
      },
      async schema(target) {
        const structured = model(target).withStructuredOutput(
          structuredClone<object>(RECORD_SCHEMA) as Record<string, unknown>,
          {
            name: "weather",
            method: "jsonSchema",
          },
        );
        expect(await structured.invoke(prompt("schema"))).toEqual(RECORD);
      },
      tool: (target) => run(target, "tool", false),
      "tool stream": (target) => run(target, "tool", true),
      parallel: (target) => run(target, "parallel", false),
      "parallel stream": (target) => run(target, "parallel", true),
      async forced(target) {
        const bound = model(target).bindTools([tool], { tool_choice: TOOL.name });
        const { tool_calls: calls } = await bound.invoke(prompt("forced"));
        expect(calls).toMatchObject([{ name: TOOL.name, args: { city: CITY } }]);
      },
      ...(thinks && {
        thinking: (target: Target) => run(target, "thinking", false, true),
        "thinking stream": (target: Target) => run(target, "thinking", true, true),
      }),
      async "rate limit"(target) {
        expect(await failureOf(model(target).invoke(prompt("rate-limit")))).toMatchObject({ status: 429 });
      },
      async "broken stream"(target) {
        await failureOf(model(target).stream(prompt("broken-stream")).then(collect));
      },
    },
  };
}

/** Counts of a message; the client's types lose them. */
function usageOf({ usage_metadata: usage }: { readonly usage_metadata?: unknown }): UsageMetadata | undefined {
  return usage as UsageMetadata | undefined;
}

/**
 * Checks the counts of a stream of messages. This client reads the prompt's counts only from the first event, before an upstream of another
 * wire has reported them, and adds the output of the first event to that of the last.
 */
function expectFirstCounts(usage: UsageMetadata | undefined): void {
  expect([0, USAGE.prompt]).toContain(usage?.input_tokens);
  expect([USAGE.output, USAGE.output + 1]).toContain(usage?.output_tokens);
}

/** Message that consists of chunks. */
function joined(chunks: readonly AIMessageChunk[]): AIMessageChunk {
  return chunks.reduce((whole, chunk) => whole.concat(chunk));
}

function openAiModel(
  { url, apiKey, model }: Target,
  { maxTokens, thinks }: Settings,
  useResponsesApi: boolean,
): ChatOpenAI {
  return new ChatOpenAI({
    model,
    apiKey,
    maxTokens,
    maxRetries: 0,
    useResponsesApi,
    configuration: { baseURL: `${url}/v1` },
    zdrEnabled: true,
    // The setting `reasoning` is for models whose names this client knows.
    ...(thinks && { modelKwargs: { reasoning: { effort: "low", summary: "auto" } } }),
  });
}

export const langChainChat = langChain(
  "@langchain/openai chat",
  "chat",
  (target, settings) => openAiModel(target, settings, false),
  false,
);
export const langChainResponses = langChain(
  "@langchain/openai responses",
  "responses",
  (target, settings) => openAiModel(target, settings, true),
  true,
);
export const langChainAnthropic = langChain(
  "@langchain/anthropic",
  "messages",
  ({ url, apiKey, model }, { maxTokens, thinks }) =>
    new ChatAnthropic({
      model,
      apiKey,
      maxTokens,
      maxRetries: 0,
      anthropicApiUrl: url,
      ...(thinks && { thinking: { type: "enabled", budget_tokens: 1_024 } }),
    }),
  true,
);
