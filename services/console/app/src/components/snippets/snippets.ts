/** Variable from which every snippet reads the token, so that no snippet contains it. */
export const TOKEN_VARIABLE = "ROUTEPLANE_API_KEY";

/** Snippet of code that calls a model through the node. */
export interface Snippet {
  readonly id: string;
  readonly title: string;
  /** File or program that the snippet is for, e.g. `a shell`. */
  readonly place: string;
  readonly code: string;
}

/** Snippets for common clients. @param gatewayUrl address of the node, as clients reach it */
export function snippetsFor(gatewayUrl: string, model: string): readonly Snippet[] {
  const url = gatewayUrl.replace(/\/+$/, "");
  return [
    { id: "curl", title: "curl", place: "A shell", code: curl(url, model) },
    { id: "openai-js", title: "openai (JavaScript)", place: "npm install openai", code: openaiJavaScript(url, model) },
    { id: "openai-python", title: "openai (Python)", place: "pip install openai", code: openaiPython(url, model) },
    { id: "anthropic", title: "anthropic", place: "npm install @anthropic-ai/sdk", code: anthropic(url, model) },
    { id: "claude-code", title: "Claude Code", place: "A shell", code: claudeCode(url, model) },
  ];
}

function curl(url: string, model: string): string {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] });
  return [
    `curl ${quoteForShell(`${url}/v1/chat/completions`)} \\`,
    `  -H "Authorization: Bearer $${TOKEN_VARIABLE}" \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d ${quoteForShell(body)}`,
  ].join("\n");
}

function openaiJavaScript(url: string, model: string): string {
  return `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: ${JSON.stringify(`${url}/v1`)},
  apiKey: process.env.${TOKEN_VARIABLE},
});
const completion = await client.chat.completions.create({
  model: ${JSON.stringify(model)},
  messages: [{ role: "user", content: "Hello" }],
});
console.log(completion.choices[0].message.content);`;
}

/** Python snippet. JSON string literals are valid in Python, too. */
function openaiPython(url: string, model: string): string {
  return `import os
from openai import OpenAI

client = OpenAI(
    base_url=${JSON.stringify(`${url}/v1`)},
    api_key=os.environ["${TOKEN_VARIABLE}"],
)
completion = client.chat.completions.create(
    model=${JSON.stringify(model)},
    messages=[{"role": "user", "content": "Hello"}],
)
print(completion.choices[0].message.content)`;
}

function anthropic(url: string, model: string): string {
  return `import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: ${JSON.stringify(url)},
  apiKey: process.env.${TOKEN_VARIABLE},
});
const message = await client.messages.create({
  model: ${JSON.stringify(model)},
  max_tokens: 1024,
  messages: [{ role: "user", content: "Hello" }],
});
console.log(message.content);`;
}

/** Snippet for Claude Code. It sets a token, because Claude Code asks before it uses an API key of the environment. */
function claudeCode(url: string, model: string): string {
  return [
    `export ANTHROPIC_BASE_URL=${quoteForShell(url)}`,
    `export ANTHROPIC_AUTH_TOKEN="$${TOKEN_VARIABLE}"`,
    `claude --model ${quoteForShell(model)}`,
  ].join("\n");
}

/** Quotes a text as one word of a POSIX shell, without any expansion. */
function quoteForShell(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
