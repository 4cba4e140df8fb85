/**
 * Usage of answers that are translated to the messages wire, in every dialect of the chat wire among `dialects/`: the usage that the
 * gateway reads from the translated answer is the one that the file states as charged.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openStreamTranslation, translateAnswer } from "@routeplane/protocols";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readUsage, type UsageRecord } from "../src/domain/metering/usage.ts";
import type { JsonObject } from "../src/domain/wire/json.ts";

interface Dialect {
  readonly name: string;
  readonly usage: Readonly<Record<string, number>>;
  readonly max_tokens?: number;
  readonly answer?: JsonObject;
  readonly stream?: readonly (JsonObject | string)[];
}

const FOLDER = join(import.meta.dirname, "dialects");
const isChat = (answer: unknown) => typeof answer === "object" && answer !== null && "choices" in answer;
const DIALECTS = readdirSync(FOLDER)
  .map((file) => parse(readFileSync(join(FOLDER, file), "utf8")) as Dialect)
  .filter(({ answer, stream = [] }) => isChat(answer) || stream.some(isChat))
  .map((dialect) => [dialect.name, dialect] as const);

const countsOf = (record: UsageRecord | undefined) => ({
  prompt: record?.promptTokens,
  completion: record?.completionTokens,
  cached: record?.cachedPromptTokens ?? 0,
  cache_write: record?.cacheWriteTokens ?? 0,
  prompt_audio: record?.promptAudioTokens ?? 0,
  completion_audio: record?.completionAudioTokens ?? 0,
  reasoning: record?.reasoningTokens ?? 0,
});

const ZEROS = { cached: 0, cache_write: 0, prompt_audio: 0, completion_audio: 0, reasoning: 0 };

describe("usage of a translated answer", () => {
  it.each(DIALECTS.filter(([, { answer }]) => isChat(answer)))(
    "of %s, whole",
    (_name, { answer, usage, max_tokens }) => {
      const translated = translateAnswer("chat", "messages", answer ?? {});
      expect(countsOf(readUsage(translated, max_tokens ?? 4_096)?.whole)).toEqual({ ...ZEROS, ...usage });
    },
  );

  it.each(DIALECTS.filter(([, { stream }]) => stream !== undefined))("of %s, streamed", (_name, dialect) => {
    const { stream = [], usage, max_tokens } = dialect;
    const translation = openStreamTranslation("chat", "messages");
    const data = stream.flatMap((event) => {
      if (typeof event === "string") return event.startsWith(":") ? [] : [event];
      return [JSON.stringify(event)];
    });
    const events = [...data.flatMap((text) => translation.push({ data: text })), ...translation.end()];
    const end = events.find(({ name }) => name === "message_delta");
    const last = JSON.parse(end?.data ?? "{}") as JsonObject;
    expect(countsOf(readUsage(last, max_tokens ?? 4_096)?.whole)).toEqual({ ...ZEROS, ...usage });
  });
});
