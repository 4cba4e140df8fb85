import type { OpenAI } from "openai";
import { z } from "zod";
import { validate } from "./validate.ts";

const schema = z.strictObject({
  model: z.string(),
  input: z.union([
    z.string().min(1),
    z.array(z.string().min(1)).min(1),
    z.array(z.int()).min(1),
    z.array(z.array(z.int())).min(1),
  ]),
  dimensions: z.int().min(1).optional(),
  encoding_format: z.enum(["float", "base64"]).optional(),
  user: z.string().optional(),
});

/** Vector of the input with an index; its numbers are exact in 32 bits. */
export function vectorOf(index: number): readonly number[] {
  return [index, 0.5, -0.25];
}

/** Answers POST /v1/embeddings. @throws ProviderFault as OpenAI refuses it */
export function embed(body: unknown): object {
  const { model, input, encoding_format } = validate(schema, body);
  const count = typeof input === "string" || typeof input[0] === "number" ? 1 : input.length;
  const data = Array.from({ length: count }, (_, index) => ({
    object: "embedding" as const,
    index,
    embedding: encoding_format === "base64" ? base64Of(vectorOf(index)) : vectorOf(index),
  }));
  const usage: OpenAI.CreateEmbeddingResponse["usage"] = { prompt_tokens: 6, total_tokens: 6 };
  return { object: "list", data, model, usage };
}

function base64Of(vector: readonly number[]): string {
  return Buffer.from(new Float32Array(vector).buffer).toString("base64");
}
