import { z } from "zod";
import { isGiven, type ReceivedMessage, type ReceivedPart, type ReceivedRequest, requireThat } from "./received.ts";
import { validate } from "./validate.ts";

const inputText = z.strictObject({ type: z.literal("input_text"), text: z.string() });
const inputImage = z.strictObject({
  type: z.literal("input_image"),
  image_url: z.string(),
  detail: z.enum(["auto", "low", "high", "original"]).optional(),
});
const outputText = z.strictObject({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: z.array(z.unknown()).optional(),
  logprobs: z.array(z.unknown()).optional(),
});
const status = z.enum(["in_progress", "completed", "incomplete"]).nullish();

const message = z.strictObject({
  type: z.literal("message").optional(),
  id: z.string().regex(/^msg_/, "Expected an ID that begins with 'msg'.").optional(),
  role: z.enum(["user", "assistant", "system", "developer"]),
  content: z.union([z.string(), z.array(z.union([inputText, inputImage, outputText])).min(1)]),
  status,
  phase: z.enum(["commentary", "final_answer"]).nullish(),
});
const call = z.strictObject({
  type: z.literal("function_call"),
  id: z.string().regex(/^fc_/, "Expected an ID that begins with 'fc'.").nullish(),
  call_id: z.string().min(1).max(64),
  name: z.string().regex(/^[\w-]{1,128}$/),
  arguments: z.string(),
  status,
});
const output = z.strictObject({
  type: z.literal("function_call_output"),
  id: z.string().nullish(),
  call_id: z.string().min(1).max(64),
  output: z.union([z.string(), z.array(z.union([inputText, inputImage]))]),
  status,
});
const reasoning = z.strictObject({
  type: z.literal("reasoning"),
  id: z.string().regex(/^rs_/, "Expected an ID that begins with 'rs'.").optional(),
  summary: z.array(z.strictObject({ type: z.literal("summary_text"), text: z.string() })),
  content: z.array(z.strictObject({ type: z.literal("reasoning_text"), text: z.string() })).nullish(),
  encrypted_content: z.string().nullish(),
  status,
});
const item = z.union([message, call, output, reasoning]);

const schema = z.strictObject({
  model: z.string(),
  input: z.union([z.string(), z.array(item).min(1)]),
  instructions: z.string().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: z.boolean().optional() }).nullish(),
  max_output_tokens: z.int().min(16).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  tools: z
    .array(
      z.strictObject({
        type: z.literal("function"),
        name: z.string().regex(/^[\w-]{1,128}$/),
        description: z.string().nullish(),
        parameters: z.record(z.string(), z.unknown()).nullable(),
        strict: z.boolean().nullish(),
      }),
    )
    .optional(),
  tool_choice: z
    .union([z.enum(["auto", "none", "required"]), z.strictObject({ type: z.literal("function"), name: z.string() })])
    .optional(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z
    .strictObject({
      format: z
        .union([
          z.strictObject({ type: z.enum(["text", "json_object"]) }),
          z.strictObject({
            type: z.literal("json_schema"),
            name: z.string().regex(/^[\w-]{1,64}$/),
            description: z.string().optional(),
            schema: z.record(z.string(), z.unknown()),
            strict: z.boolean().nullish(),
          }),
        ])
        .optional(),
      verbosity: z.enum(["low", "medium", "high"]).nullish(),
    })
    .optional(),
  reasoning: z
    .strictObject({
      effort: z.enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"]).nullish(),
      summary: z.enum(["auto", "concise", "detailed"]).nullish(),
    })
    .nullish(),
  include: z.array(z.literal("reasoning.encrypted_content")).nullish(),
  store: z.boolean().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  user: z.string().optional(),
  safety_identifier: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
  truncation: z.enum(["auto", "disabled"]).nullish(),
});

type Item = z.infer<typeof item>;

/** Reads a body of POST /v1/responses. @throws ProviderFault as OpenAI refuses it */
export function readResponsesRequest(body: unknown): ReceivedRequest {
  const request = validate(schema, body);
  const { tool_choice: choice, text } = request;
  const stream = request.stream === true;
  requireThat(stream || !isGiven(request.stream_options), "'stream_options' is only allowed when 'stream' is enabled.");
  const items: readonly Item[] =
    typeof request.input === "string" ? [{ role: "user", content: request.input }] : request.input;
  requirePairedItems(items);
  const prompts = items.flatMap((one) => ("role" in one && isPrompt(one.role) ? [contentText(one.content)] : []));
  return {
    wire: "responses",
    model: request.model,
    stream,
    includeUsage: true,
    system: [request.instructions ?? "", ...prompts].filter(Boolean).join("\n"),
    messages: items.flatMap(fromItem),
    tools: (request.tools ?? []).map(({ name, description, parameters }) => ({
      name,
      description: description ?? undefined,
      schema: parameters,
    })),
    toolChoice: typeof choice === "object" ? { name: choice.name } : choice,
    schema: text?.format?.type === "json_schema" ? text.format.schema : undefined,
    maxTokens: request.max_output_tokens ?? undefined,
    thinks: (request.reasoning?.effort ?? "none") !== "none",
  };
}

function isPrompt(role: string): boolean {
  return role === "system" || role === "developer";
}

/** Refuses calls without output, outputs without call, and reasoning without the item that it led to. */
function requirePairedItems(items: readonly Item[]): void {
  const open = new Set<string>();
  items.forEach((one, index) => {
    if (one.type === "function_call") open.add(one.call_id);
    if (one.type === "function_call_output") {
      requireThat(open.delete(one.call_id), `No tool call found for function call output with call_id ${one.call_id}.`);
    }
    if (one.type === "reasoning") {
      const next = items[index + 1];
      const follows =
        next?.type === "function_call" || (next !== undefined && "role" in next && next.role === "assistant");
      requireThat(follows, "Item of type 'reasoning' was provided without its required following item.");
    }
  });
  requireThat(open.size === 0, `No tool output found for function call ${[...open].join()}.`);
}

function fromItem(one: Item): readonly ReceivedMessage[] {
  switch (one.type) {
    case "function_call":
      return said({ type: "call", id: one.call_id, name: one.name, input: JSON.parse(one.arguments) });
    case "function_call_output":
      return [{ role: "user", parts: [{ type: "result", id: one.call_id, text: contentText(one.output) }] }];
    case "reasoning":
      return said({
        type: "thinking",
        text: one.summary.map((part) => part.text).join(""),
        signature: one.encrypted_content ?? "",
      });
    default:
      return isPrompt(one.role)
        ? []
        : [{ role: one.role === "assistant" ? "assistant" : "user", parts: contentParts(one.content) }];
  }
}

function said(part: ReceivedPart): readonly ReceivedMessage[] {
  return [{ role: "assistant", parts: [part] }];
}

type Content = z.infer<typeof message>["content"];

function contentParts(content: Content): readonly ReceivedPart[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return content.map((part) =>
    part.type === "input_image" ? { type: "image", url: part.image_url } : { type: "text", text: part.text },
  );
}

function contentText(content: Content): string {
  return contentParts(content)
    .map((part) => (part.type === "text" ? part.text : ""))
    .join("");
}
