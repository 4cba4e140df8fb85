import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "vitest";
import { ANSWER, prompt } from "../scenarios.ts";
import type { UpstreamWire } from "../upstream/received.ts";
import { STREAM_ERROR } from "../upstream/turn.ts";
import { type Client, MAX_TOKENS, type Target } from "./client.ts";

/** Requests and answers of a route, as a shell script reads them. */
export interface PlainRoute {
  readonly path: string;
  readonly headers: (apiKey: string) => readonly string[];
  readonly body: (content: string) => object;
  /** Text of a whole answer. */
  readonly textOf: (answer: unknown) => string | undefined;
  /** Pieces of the text in the data of an event. */
  readonly deltaOf: (event: unknown) => string | undefined;
  /** Text that ends a stream. */
  readonly end: string;
}

const bearer = (apiKey: string) => [`authorization: Bearer ${apiKey}`];

/** The program `curl`, as shell scripts use it. */
function curl(route: PlainRoute): Client {
  const send = async ({ url, apiKey, model }: Target, scenario: string, stream: boolean) => {
    const body = JSON.stringify({ model, ...route.body(prompt(scenario)), ...(stream && { stream }) });
    const headers = [...route.headers(apiKey), "content-type: application/json"].flatMap((header) => ["-H", header]);
    const args = ["-sS", "-N", "--max-time", "20", "-w", "\n%{http_code}", ...headers, "--data-binary", body];
    const { stdout } = await promisify(execFile)("curl", [...args, `${url}${route.path}`]);
    const status = stdout.slice(stdout.lastIndexOf("\n") + 1);
    return { status: Number(status), text: stdout.slice(0, stdout.lastIndexOf("\n")) };
  };
  return {
    name: `curl ${route.path}`,
    checks: {
      async text(target) {
        const { status, text } = await send(target, "text", false);
        expect({ status, text: status === 200 ? route.textOf(JSON.parse(text)) : text }).toEqual({
          status: 200,
          text: ANSWER,
        });
      },
      async stream(target) {
        const { status, text } = await send(target, "text", true);
        const events = text.split("\n").filter((line) => line.startsWith("data: {"));
        const pieces = events.map((line) => route.deltaOf(JSON.parse(line.slice("data: ".length))) ?? "");
        expect({ status, text: pieces.join("") }).toEqual({ status: 200, text: ANSWER });
        expect(text.trimEnd().split("\n").at(-1)).toContain(route.end);
      },
      async "rate limit"(target) {
        const { status, text } = await send(target, "rate-limit", false);
        expect(status).toBe(429);
        expect(JSON.parse(text)).toHaveProperty("error.message");
      },
      async "broken stream"(target) {
        const { status, text } = await send(target, "broken-stream", true);
        expect(status).toBe(200);
        expect(text).toContain(STREAM_ERROR);
        expect(text).not.toContain(route.end);
      },
    },
  };
}

/** Routes of inference, by their wire. */
export const PLAIN_ROUTES: Readonly<Record<UpstreamWire, PlainRoute>> = {
  chat: {
    path: "/v1/chat/completions",
    headers: bearer,
    body: (content) => ({ messages: [{ role: "user", content }], max_completion_tokens: MAX_TOKENS }),
    textOf: (answer) => (answer as { choices: { message: { content: string } }[] }).choices[0]?.message.content,
    deltaOf: (event) => (event as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content,
    end: "data: [DONE]",
  },
  responses: {
    path: "/v1/responses",
    headers: bearer,
    body: (input) => ({ input, max_output_tokens: MAX_TOKENS, store: false }),
    textOf: (answer) => (answer as { output: { content: { text: string }[] }[] }).output[0]?.content[0]?.text,
    deltaOf: (event) => (event as { delta?: string }).delta,
    end: "response.completed",
  },
  messages: {
    path: "/v1/messages",
    headers: (apiKey) => [`x-api-key: ${apiKey}`, "anthropic-version: 2023-06-01"],
    body: (content) => ({ messages: [{ role: "user", content }], max_tokens: MAX_TOKENS }),
    textOf: (answer) => (answer as { content: { text: string }[] }).content[0]?.text,
    deltaOf: (event) => (event as { delta?: { text?: string } }).delta?.text,
    end: "message_stop",
  },
};

export const curlChat = curl(PLAIN_ROUTES.chat);
export const curlResponses = curl(PLAIN_ROUTES.responses);
export const curlMessages = curl(PLAIN_ROUTES.messages);
