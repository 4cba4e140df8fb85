import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { OpenAIEmbeddings } from "@langchain/openai";
import { embedMany } from "ai";
import OpenAI from "openai";
import { expect } from "vitest";
import { prompt, TOOL } from "../scenarios.ts";
import { vectorOf } from "../upstream/embeddings.ts";
import { COUNTED_TOKENS } from "../upstream/scripted-upstream.ts";
import { type Check, collect, type Target } from "./client.ts";

/** Check of an endpoint other than inference. */
export interface EndpointCheck {
  readonly client: string;
  readonly endpoint: "embeddings" | "count_tokens" | "models";
  readonly check: Check;
}

const VECTORS = [vectorOf(0), vectorOf(1)];
const INPUTS = ["Zürich", "São Paulo"];

const openAi = ({ url, apiKey }: Target) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const anthropic = ({ url, apiKey }: Target) => new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });

export const ENDPOINT_CHECKS: readonly EndpointCheck[] = [
  {
    client: "openai",
    endpoint: "embeddings",
    async check(target) {
      const { data, usage } = await openAi(target).embeddings.create({ model: target.model, input: INPUTS });
      expect(data.map(({ embedding }) => embedding)).toEqual(VECTORS);
      expect(usage).toEqual({ prompt_tokens: 6, total_tokens: 6 });
      const numbers = await openAi(target).embeddings.create({
        model: target.model,
        input: INPUTS[0] ?? "",
        encoding_format: "float",
      });
      expect(numbers.data.map(({ embedding }) => embedding)).toEqual([vectorOf(0)]);
    },
  },
  {
    client: "ai + @ai-sdk/openai",
    endpoint: "embeddings",
    async check({ url, apiKey, model }) {
      const { embeddings, usage } = await embedMany({
        model: createOpenAI({ baseURL: `${url}/v1`, apiKey }).embedding(model),
        values: INPUTS,
        maxRetries: 0,
      });
      expect(embeddings).toEqual(VECTORS);
      expect(usage.tokens).toBe(6);
    },
  },
  {
    client: "@langchain/openai",
    endpoint: "embeddings",
    async check({ url, apiKey, model }) {
      const embeddings = new OpenAIEmbeddings({
        model,
        apiKey,
        maxRetries: 0,
        configuration: { baseURL: `${url}/v1` },
      });
      expect(await embeddings.embedDocuments(INPUTS)).toEqual(VECTORS);
    },
  },
  {
    client: "@anthropic-ai/sdk",
    endpoint: "count_tokens",
    async check(target) {
      const { input_tokens } = await anthropic(target).messages.countTokens({
        model: target.model,
        messages: [{ role: "user", content: prompt("text") }],
        tools: [{ name: TOOL.name, description: TOOL.description, input_schema: { type: "object" } }],
      });
      expect(input_tokens).toBe(COUNTED_TOKENS);
    },
  },
  {
    client: "openai",
    endpoint: "models",
    async check(target) {
      const models = await collect(openAi(target).models.list());
      expect(models.map(({ id }) => id)).toContain(target.model);
      expect(await openAi(target).models.retrieve(target.model)).toMatchObject({ id: target.model, object: "model" });
    },
  },
  {
    client: "@anthropic-ai/sdk",
    endpoint: "models",
    async check(target) {
      const models = await collect(anthropic(target).models.list());
      expect(models.map(({ id }) => id)).toContain(target.model);
      expect(await anthropic(target).models.retrieve(target.model)).toMatchObject({ id: target.model, type: "model" });
    },
  },
];
