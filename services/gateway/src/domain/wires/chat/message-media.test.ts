import { describe, expect, it } from "vitest";
import { parseRequest } from "../../request/parse-request.ts";
import { CHAT } from "./chat-wire.ts";
import type { Refusal } from "../../errors/refusal.ts";

const URL = "https://example.com/a";
const PIXEL = "data:image/png;base64,iVBORw0KGgo=";
const NOTHING = { images: 0, files: 0 };
const IMAGE = { images: 1, files: 0 };
const FILE = { images: 0, files: 1 };

function parse(messages: unknown) {
  const body = typeof messages === "string" ? messages : JSON.stringify({ model: "m", messages });
  return parseRequest(CHAT, Buffer.from(body), new AbortController().signal);
}

async function countMedia(messages: readonly object[]) {
  const kinds = (await parse(messages)).input.media.map(({ kind }) => kind);
  const countOf = (kind: string) => kinds.filter((each) => each === kind).length;
  return { images: countOf("image"), files: countOf("file") };
}

const mediaOf = (message: object) => countMedia([message]);
const mediaOfPart = (part: unknown) => mediaOf({ role: "user", content: [part] });

async function refusalOf(messages: unknown) {
  const refusal = await parse(messages).then(
    () => undefined,
    (error: Refusal) => error,
  );
  return refusal;
}

describe("the media of a message", () => {
  it.each<[object]>([
    [{ role: "user", content: "hi", name: "anna" }],
    [{ role: "user", content: [{ type: "text", text: "hi", cache_control: { type: "ephemeral" } }] }],
    [{ role: "user", content: [{ type: "text", text: "hi", prompt_cache_breakpoint: { mode: "explicit" } }] }],
    [{ role: "assistant", content: [{ type: "refusal", refusal: "no" }], refusal: null, audio: null, annotations: [] }],
    [{ role: "assistant", content: null, tool_calls: [{ id: "c", type: "function", function: { arguments: "{}" } }] }],
    [
      {
        role: "assistant",
        content: "a",
        reasoning_content: "thought",
        reasoning_details: [{ type: "reasoning.text" }],
      },
    ],
    [
      {
        role: "assistant",
        content: [{ type: "thinking", thinking: "so", signature: "s" }],
        function_call: { name: "f" },
      },
    ],
    [{ role: "assistant", content: "a", annotations: [{ type: "url_citation", url_citation: { url: URL } }] }],
    [{ role: "assistant", tool_calls: [{ id: "c", type: "custom", custom: { name: "f", input: "x" }, index: 0 }] }],
    [
      {
        role: "assistant",
        tool_calls: [{ type: "function", function: { arguments: { url: URL } }, extra_content: {} }],
      },
    ],
    [{ role: "assistant", reasoning: "so", thinking_blocks: [{ type: "thinking", thinking: "so", signature: "s" }] }],
    [{ role: "assistant", content: "a", extra_content: { google: { thought_signature: "s" } } }],
    [{ role: "assistant", tool_plan: "first", tool_calls: [{ id: "c", type: "function", function: { name: "f" } }] }],
    [{ role: "assistant", content: "a", prefix: true, provider_specific_fields: { refusal: null } }],
    [{ role: "tool", tool_call_id: "c", content: [{ type: "text", text: "4" }] }],
    [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "UklGRg==", format: "wav" } }] }],
    [{ role: "user", content: "hi", weight: 1, images: [], attachments: null, has_media: false }],
  ])("is none where the bytes bound its tokens: %j", async (message) => {
    expect(await mediaOf(message)).toEqual(NOTHING);
  });

  it.each<[object]>([
    [{ type: "image_url", image_url: { url: PIXEL, detail: "high" } }],
    [{ type: "image_url", image_url: { url: "https://example.com/a.PNG?w=1" } }],
    [{ type: "image_url", image_url: { url: URL } }],
    [{ type: "image_url", image_url: PIXEL }],
  ])("counts an image as one: %j", async (part) => {
    expect(await mediaOfPart(part)).toEqual(IMAGE);
  });

  it.each<[unknown]>([
    [{ type: "file", file: { file_id: "file-1" } }],
    [{ type: "video_url", video_url: { url: URL } }],
    [{ type: "audio_url", audio_url: { url: URL } }],
    [{ type: "document_url", document_url: URL }],
    [{ type: "image", source: { type: "url", url: URL } }],
    [{ type: "input_image", image_url: PIXEL }],
    [{ type: "tool_result", content: [{ type: "image_url", image_url: { url: PIXEL } }] }],
    [{ type: "Text", text: "hi" }],
    [{ type: ["text"], text: "hi" }],
    [{ image_url: { url: PIXEL } }],
    [{ text: "hi" }],
    [{ type: "text", text: "hi", image_url: { url: PIXEL } }],
    [{ type: "text", text: "hi", video: URL }],
    [{ type: "text", text: { image_url: PIXEL } }],
    [{ type: "refusal", refusal: "no", images: [PIXEL] }],
    [{ type: "image_url", image_url: { url: PIXEL }, video_url: { url: URL } }],
    [{ type: "image_url", image_url: { url: PIXEL, urls: [PIXEL, PIXEL] } }],
    [{ type: "image_url", image_url: { url: "https://example.com/a.mp4" } }],
    [{ type: "image_url", image_url: { url: "https://example.com/a?name=b.PDF" } }],
    [{ type: "image_url", image_url: { url: "data:application/pdf;base64,JVBERi0=" } }],
    [{ type: "image_url", image_url: { url: "data:video/mp4;base64,AAAA" } }],
    [{ type: "image_url", image_url: { url: "https://example.com/a%2Emp4" } }],
    [{ type: "image_url", image_url: { url: "https://example.com/a.p%64f" } }],
    [{ type: "image_url", image_url: { url: "https://example.com/a.pdf;v=1" } }],
    [{ type: "image_url", image_url: { url: "https://example.com/a.pdf/" } }],
    [{ type: "image_url", image_url: { url: "gs://bucket/film" } }],
    [{ type: "image_url", image_url: { url: PIXEL, format: "video/mp4" } }],
    [{ type: "image_url", image_url: [{ url: PIXEL }, { url: PIXEL }] }],
    [{ type: "input_audio", input_audio: { data: URL, format: "wav" } }],
    [{ type: "input_audio", input_audio: { url: URL } }],
    [{ type: "input_audio", input_audio: { data: "AAAA", format: { url: URL } } }],
    [{ type: "text", text: "hi", cache_control: { type: "ephemeral", url: URL } }],
  ])("counts anything unknown as a file: the part %j", async (part) => {
    expect(await mediaOfPart(part)).toEqual(FILE);
  });

  it.each<[object]>([
    [{ images: [PIXEL] }],
    [{ audio: { id: "audio_1" } }],
    [{ file_ids: ["file-1"] }],
    [{ attachments: [{ file_id: "file-1" }] }],
    [{ video: URL }],
    [{ annotations: [{ type: "url_citation", file: { content: [{ type: "image_url" }] } }] }],
    [{ type: "item_reference" }],
    [{ name: { url: URL } }],
    [{ refusal: [{ type: "video_url", video_url: { url: URL } }] }],
    [{ reasoning_content: [{ type: "image_url", image_url: { url: PIXEL } }] }],
    [{ reasoning_details: [{ type: "image_url", image_url: { url: PIXEL } }] }],
    [{ thinking_blocks: [{ type: "image", source: { type: "url", url: URL } }] }],
    [{ tool_calls: [{ id: "c", type: "file", file: { file_id: "file-1" } }] }],
    [{ tool_call_id: [{ type: "file" }] }],
    [{ function_call: { name: "f", file: URL } }],
    [{ extra_content: { google: { thought_signature: "s", file_uri: URL } } }],
    [{ tool_calls: [{ id: "c", type: "function", extra_content: { google: { file_uri: URL } } }] }],
    [{ annotations: [{ type: "file", file: { content: [{ type: "image_url" }] } }] }],
  ])("counts anything unknown as a file: the member %j", async (member) => {
    expect(await mediaOf({ role: "assistant", content: "hi", ...member })).toEqual(FILE);
  });

  it("counts each of them", async () => {
    const video = { type: "video_url", video_url: { url: URL } };
    const image = { type: "image_url", image_url: { url: PIXEL } };
    const message = { role: "user", content: [video, image, video, image], images: [PIXEL] };
    expect(await countMedia([message, message])).toEqual({ images: 4, files: 6 });
  });

  it.each([[{ type: "text", text: "hi" }], [5], [true]])(
    "refuses content that is neither text nor parts: %j",
    async (content) => {
      expect(await refusalOf([{ role: "user", content }])).toMatchObject({ status: 400, param: "messages[0].content" });
    },
  );

  it.each([[null], [5], ["https://example.com/a.mp4"], [[{ type: "image_url" }]]])(
    "refuses a part that is not an object: %j",
    async (part) => {
      const text = { type: "text", text: "hi" };
      expect(await refusalOf([{ role: "user", content: [text, part] }])).toMatchObject({
        status: 400,
        param: "messages[0].content[1]",
      });
    },
  );
});

describe("a name that parsers read differently is refused", () => {
  const image = '[{"type":"image_url","image_url":{"url":"x"}}]';
  const message = (members: string) => `{"model":"m","messages":[{"role":"user"},{${members}}]}`;
  const part = (members: string) => message(`"content":["a",{${members}}]`);

  it.each([
    ["content twice", message(`"content":${image},"content":"hi"`), "messages[1].content"],
    ["content capitalised beside it", message(`"Content":${image},"content":"hi"`), "messages[1].Content"],
    ["content capitalised alone", message(`"CONTENT":${image}`), "messages[1].CONTENT"],
    ["content escaped twice", message(`"c\\u006fntent":${image},"content":"hi"`), "messages[1].content"],
    ["an unknown member twice", message(`"content":"hi","images":["x"],"Images":[]`), "messages[1].images"],
    ["U+017F in a message", message(`"content":"hi","me\u017f\u017fage":1`), "messages[1].me\u017f\u017fage"],
    ["U+212A in a message", message(`"content":"hi","to\\u212aen":1`), "messages[1].to\u212aen"],
    ["type twice", part(`"type":"image_url","type":"text","text":"hi"`), "messages[1].content[1].type"],
    ["Type", part(`"Type":"image_url","type":"text","text":"hi"`), "messages[1].content[1].Type"],
    ["image_url twice", part(`"type":"image_url","image_url":1,"image_url":2`), "messages[1].content[1].image_url"],
    [
      "url twice",
      part(`"type":"image_url","image_url":{"url":"gs://a","url":"${PIXEL}"}`),
      "messages[1].content[1].image_url.url",
    ],
    [
      "Data",
      part(`"type":"input_audio","input_audio":{"Data":"https://a","data":"AAAA"}`),
      "messages[1].content[1].input_audio.Data",
    ],
    ["messages twice", `{"model":"m","messages":[{}],"messages":[{}]}`, "messages"],
    ["max_token\u017f", `{"model":"m","messages":[{}],"max_token\u017f":99}`, "max_token\u017f"],
    ["max_to\\u212aens", `{"model":"m","messages":[{}],"max_to\\u212aens":99}`, "max_to\u212aens"],
    ["NUL in a name", `{"model":"m","messages":[{}],"max_tokens\\u0000":99}`, "max_tokens\0"],
    ["a name of the future outside ASCII", `{"model":"m","messages":[{}],"größe":99}`, "größe"],
    [
      "include_usage twice",
      `{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":false,"include_usage":true}}`,
      "stream_options.include_usage",
    ],
    [
      "type of a tool twice",
      `{"model":"m","messages":[{}],"tools":[{"type":"mcp","type":"function"}]}`,
      "tools[0].type",
    ],
  ])("%s", async (_, body, param) => {
    expect(await refusalOf(body)).toMatchObject({ status: 400, param });
  });

  it("and what is written once passes, whatever the schemas of tools and the arguments of tool calls hold", async () => {
    const properties = '{"a":{},"A":{},"größe":{},"content":1,"content":2}';
    const tools = `[{"type":"function","function":{"name":"f","parameters":{"properties":${properties}}}}]`;
    const calls = `[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]`;
    const body = `{"model":"m","tools":${tools},"messages":[{"role":"assistant","tool_calls":${calls}},{"content":"x"}]}`;
    expect(await refusalOf(body)).toBeUndefined();
  });
});
