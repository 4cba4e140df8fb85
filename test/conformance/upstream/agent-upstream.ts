import { chatAnswer } from "./chat-answer.ts";
import { messagesAnswer } from "./messages-answer.ts";
import { requireThat, type UpstreamWire } from "./received.ts";
import { responsesAnswer } from "./responses-answer.ts";
import type { AnswerBlock, Turn } from "./turn.ts";
import type { WireAnswer } from "./wire-answer.ts";
import { type Endpoint, startWireServer, type WireServer } from "./wire-server.ts";

/** Command that the model of a coding agent runs, by the agent's own tool. */
export const AGENT_COMMAND = "echo 'written by the model' > agent.txt";
export const AGENT_ANSWER = "I have written agent.txt.";

/** Arguments of a command, keyed by the names of the tools that run one. */
const SHELL_TOOLS: Readonly<Record<string, object>> = {
  Bash: { command: AGENT_COMMAND, description: "Write agent.txt" },
  exec_command: { cmd: AGENT_COMMAND },
  shell_command: { command: AGENT_COMMAND },
  shell: { command: ["bash", "-c", AGENT_COMMAND] },
};
/** Members that mark an item of the conversation as the result of a tool. */
const RESULT_TYPES = new Set(["tool", "tool_result", "function_call_output", "custom_tool_call_output"]);

/**
 * Starts an upstream whose model runs one command and then answers. Ids of models end with the wire that
 * they speak. Requests are read leniently, because agents often send new members.
 */
export function startAgentUpstream(): Promise<WireServer> {
  return startWireServer({
    "/v1/chat/completions": endpoint("chat", chatAnswer),
    "/v1/responses": endpoint("responses", responsesAnswer),
    "/v1/messages": endpoint("messages", messagesAnswer),
    "/v1/messages/count_tokens": {
      answer: messagesAnswer,
      takesApiKey: true,
      reply: () => ({ body: { input_tokens: 17 } }),
    },
  });
}

function endpoint(wire: UpstreamWire, answer: WireAnswer): Endpoint {
  return {
    answer,
    takesApiKey: wire === "messages",
    reply(body) {
      const { model, stream } = body as { readonly model: string; readonly stream?: boolean };
      requireThat(model.endsWith(wire), `${model} does not speak ${wire}`);
      const request = {
        wire,
        model,
        stream: stream === true,
        includeUsage: true,
        system: "",
        messages: [],
        tools: [],
        toolChoice: undefined,
        schema: undefined,
        maxTokens: undefined,
        thinks: false,
      };
      return { request, turn: turnOf(body) };
    },
  };
}

function turnOf(body: unknown): Turn {
  const call = hasResult(body) ? undefined : callOf(body);
  return { blocks: [call ?? { type: "text", text: AGENT_ANSWER }] };
}

/** Call of the tool that runs commands; undefined if the request has none. */
function callOf(body: unknown): AnswerBlock | undefined {
  const { tools = [] } = body as { readonly tools?: readonly { name?: string; function?: { name: string } }[] };
  const names = tools.map((tool) => tool.function?.name ?? tool.name ?? "");
  const name = names.find((one) => SHELL_TOOLS[one] !== undefined);
  if (name === undefined) return undefined;
  return { type: "tool", id: "toolu_01AgentCommand", name, input: SHELL_TOOLS[name] ?? {} };
}

function hasResult(body: unknown): boolean {
  const { messages = [], input = [] } = body as { readonly messages?: readonly unknown[]; readonly input?: unknown };
  return [...messages, ...(Array.isArray(input) ? input : [])].some(isResult);
}

function isResult(item: unknown): boolean {
  const { role = "", type = "", content } = item as { role?: string; type?: string; content?: unknown };
  if (RESULT_TYPES.has(role) || RESULT_TYPES.has(type)) return true;
  return Array.isArray(content) && content.some((part) => RESULT_TYPES.has((part as { type?: string }).type ?? ""));
}
