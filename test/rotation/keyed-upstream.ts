import { type FakeProvider, sendJson, startFakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { newSecret } from "./secret-volume.ts";

/** Provider that answers requests with one of its keys, and refuses others. */
export interface KeyedUpstream extends FakeProvider {
  /** Keys that it accepts. One at first. */
  readonly keys: Set<string>;
}

const ANSWER = {
  id: "1",
  object: "chat.completion",
  created: 1,
  model: "rotated",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};

export async function startKeyedUpstream(): Promise<KeyedUpstream> {
  const keys = new Set([`sk-${newSecret()}`]);
  const provider = await startFakeProvider((response, { headers }) => {
    const key = headers.authorization?.replace("Bearer ", "") ?? "";
    if (keys.has(key)) sendJson(response, 200, ANSWER);
    else sendJson(response, 401, { error: { message: "incorrect API key", type: "invalid_request_error" } });
  });
  return { ...provider, keys };
}
