import { CHAT } from "./chat/chat-wire.ts";
import { MESSAGES } from "./messages/messages-wire.ts";
import { RESPONSES } from "./responses/responses-wire.ts";

/** Wires between which requests are translated, by name. */
export const TRANSLATED_WIRES = { chat: CHAT, messages: MESSAGES, responses: RESPONSES } as const;
