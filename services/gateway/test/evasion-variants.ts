/**
 * Variants of content in which "secret", or the card number 4111111111111111, is written differently from what a model or a client reads.
 * `evasion-variants.md` lists their names, with the outcome of each.
 */

const ask = (...messages: readonly object[]) => ({ model: "m", messages });
const user = (content: unknown) => ask({ role: "user", content });
const text = (text: string) => ({ type: "text", text });
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const calls = (args: string, more: object = {}) =>
  ask({
    role: "assistant",
    tool_calls: [{ id: "call_1", type: "function", function: { name: "f", arguments: args }, ...more }],
  });
const tool = (parameters: object) => ({
  ...user("x"),
  tools: [{ type: "function", function: { name: "f", parameters } }],
});
const file = (file: object) => user([{ type: "file", file }]);

/** Bodies of requests, or their JSON. */
export const REQUESTS: Readonly<Record<string, object | string>> = {
  "a match over two text parts": user([text("the sec"), text("ret")]),
  "a match over three parts with an image between": user([
    text("sec"),
    { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
    text("r"),
    text("et"),
  ]),
  "a match over consecutive messages of one role": ask(
    { role: "user", content: "the sec" },
    { role: "user", content: [text("ret")] },
  ),
  "a match over messages with an empty one between": ask(
    { role: "user", content: "sec" },
    { role: "assistant", content: "" },
    { role: "user", content: "ret" },
  ),
  "a match over messages with a hidden one between": ask(
    { role: "user", content: "sec" },
    { role: "assistant", content: "\u200b" },
    { role: "user", content: "ret" },
  ),
  "a match over messages of system and developer": ask(
    { role: "system", content: "sec" },
    { role: "developer", content: "ret" },
  ),
  "a match over nested parts": user([{ type: "tool_result", content: [text("sec"), text("ret")] }]),
  "a match over parts of a prediction": {
    ...user("x"),
    prediction: { type: "content", content: [text("sec"), text("ret")] },
  },
  "a match over steps of reasoning": ask({
    role: "assistant",
    content: "x",
    reasoning_details: [text("sec"), text("ret")],
  }),
  "a match over thinking parts": ask({
    role: "assistant",
    content: [
      { type: "thinking", thinking: "sec" },
      { type: "thinking", thinking: "ret" },
    ],
  }),
  "the name of a parameter of a tool": tool({ type: "object", properties: { secret: { type: "string" } } }),
  "a value of a schema": tool({ type: "object", properties: { x: { enum: ["secret"] } } }),
  "a number in a schema": tool({ type: "object", properties: { x: { const: 4111111111111111 } } }),
  "a number with an exponent":
    '{"model":"m","messages":[{"role":"user","content":"x"}],"novel":{"card":4.111111111111111e15}}',
  "an unknown keyword in a schema": tool({ type: "object", secret: true }),
  "the name of a property in a response format": {
    ...user("x"),
    response_format: { type: "json_schema", json_schema: { name: "n", schema: { properties: { secret: {} } } } },
  },
  "the name of an unknown member": { ...user("x"), novel: { secret: 1 } },
  "a name in metadata": { ...user("x"), metadata: { secret: "y" } },
  "a name in the arguments of a tool call": calls('{"secret":1}'),
  "an escape in the arguments of a tool call": calls(String.raw`{"x":"\u0073e\u0063ret"}`),
  "an escape in a name in the arguments": calls(String.raw`{"\u0073ecret":1}`),
  "an escape in the arguments of a function call": ask({
    role: "assistant",
    function_call: { name: "f", arguments: String.raw`{"x":"secre\u0074"}` },
  }),
  "an escape in the result of a tool": ask({
    role: "tool",
    tool_call_id: "call_1",
    content: String.raw`{"x":"\u0073ecret"}`,
  }),
  "a number in the arguments of a tool call": calls('{"card": 4111111111111111}'),
  "a file that is text in base64": file({ filename: "x.txt", file_data: base64("the secret") }),
  "a data URL that is text in base64": file({ file_data: `data:application/pdf;base64,${base64("the secret")}` }),
  "a data URL in plain text": file({ file_data: "data:text/plain,the%20%73ecret" }),
  "file data that is not base64": file({ file_data: "the secret!" }),
  "base64 that is split into lines": file({
    file_data: base64("the secret".padEnd(90)).replaceAll(/(.{20})/g, "$1\n"),
  }),
  "base64 that is percent-encoded": file({
    file_data: `data:text/plain;base64,${base64("a secret").replace("c", "%63")}`,
  }),
  "a data URL with an invalid escape": file({ file_data: "data:text/plain,%zz%73ecret" }),
  "a data URL with half a surrogate pair":
    '{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:text/plain,a secret \\ud800 x"}}]}]}',
  "a data URL with long parameters": file({
    file_data: `data:text/plain;x=${"y".repeat(2_000)};base64,${base64("a secret")}`,
  }),
  "a data URL in an unknown member": file({ fileData: `data:text/plain;base64,${base64("a secret")}` }),
  "an image that contains text": user([
    { type: "image_url", image_url: { url: `data:image/png;base64,${base64("a secret")}` } },
  ]),
  "an image whose URL has upper-case letters": user([
    { type: "image_url", image_url: { url: `DATA:IMAGE/PNG;BASE64,${base64("a secret")}` } },
  ]),
  "audio that contains text": user([{ type: "input_audio", input_audio: { data: base64("a secret"), format: "wav" } }]),
  "audio that is not base64": user([{ type: "input_audio", input_audio: { data: "a secret.", format: "wav" } }]),
  "the URL of an image": user([{ type: "image_url", image_url: { url: "https://x.example/secret.png" } }]),
  "an invalid role": ask({ role: "secret", content: "x" }, { role: "user", content: "y" }),
  "an invalid id of a tool call": ask({ role: "tool", tool_call_id: "the secret", content: "x" }),
  "an id of a tool call that is a card number": ask({ role: "tool", tool_call_id: "4111111111111111", content: "x" }),
  "an invalid type of a part": user([{ type: "secret", x: "y" }]),
  "an invalid detail of an image": user([
    { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=", detail: "secret" } },
  ]),
  "an invalid reasoning effort": { ...user("x"), reasoning_effort: "secret" },
  "an invalid verbosity": { ...user("x"), verbosity: "secret" },
  "an invalid response format": { ...user("x"), response_format: { type: "secret" } },
  "an invalid tool choice": { ...user("x"), tool_choice: "secret" },
  "full-width letters": user("ｓｅｃｒｅｔ"),
  "zero-width characters": user("s\u200be\u200cc\u200dr\u2060e\ufefft"),
  "soft hyphens": user("se\u00adcret"),
  "variation selectors and tags": user("s\ufe0fe\u{e0041}cr\u{e0101}et"),
  "direction marks": user("\u202ese\u200fcret\u202c"),
  "combining joiners and struck-out letters": user("s\u034fe\u0336cret"),
  "mathematical and circled letters": user("𝐬ⓔ𝒸𝓇𝔢𝕥"),
  "full-width, circled and superscript digits": user("④①①①１１１１¹¹¹¹𝟙𝟙𝟙𝟙"),
  "NUL and other control characters": user("se\u0000cr\u001bet"),
  "halves of surrogate pairs": '{"model":"m","messages":[{"role":"user","content":"se\\ud800cret"}]}',
  "hidden characters over two parts": user([text("se\u200b"), text("\u00adｃret")]),
  reasoning: ask({ role: "assistant", content: "x", reasoning_content: "se\u200bcret" }),
  "a thinking part": ask({ role: "assistant", content: [{ type: "thinking", thinking: "a secret", signature: "x" }] }),
};

const image = (url: string) => user([{ type: "image_url", image_url: { url } }]);

/** Bodies of requests with content that cannot be inspected. */
export const MEDIA: Readonly<Record<string, object>> = {
  "an image": image("data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="),
  "an image by URL": image("https://x.example/a.png"),
  audio: user([{ type: "input_audio", input_audio: { data: "UklGRiQAAABXQVZF", format: "wav" } }]),
  "a PDF": file({ filename: "a.pdf", file_data: `data:application/pdf;base64,${base64("%PDF-1.7 text")}` }),
  "a binary file": file({ file_data: Buffer.from([0x50, 0x4b, 3, 4, 0xff]).toString("base64") }),
  "a file id": file({ file_id: "file-abc123" }),
  "an answer in audio": ask({ role: "assistant", audio: { id: "audio_abc" } }, { role: "user", content: "x" }),
  "encrypted reasoning": ask({
    role: "assistant",
    content: "x",
    reasoning_details: [{ type: "reasoning.encrypted", data: "gAAAAABn" }],
  }),
};

const HEAD = { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m" };
const whole = (message: object, more: object = {}): string =>
  JSON.stringify({
    ...HEAD,
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop" }],
    ...more,
  });
const call = (args: string, name = "f") => ({
  content: null,
  tool_calls: [{ id: "call_1", type: "function", function: { name, arguments: args } }],
});

/** Answers that are not streamed. */
export const ANSWERS: Readonly<Record<string, string>> = {
  "hidden characters": whole({ content: "the s\u200becret" }),
  "full-width letters": whole({ content: "ｓｅｃｒｅｔ" }),
  "escapes in the arguments of a tool call": whole(call(String.raw`{"x":"\u0073ecret"}`)),
  "a name in the arguments of a tool call": whole(call('{"secret":1}')),
  "escapes in a structured answer": whole({ content: String.raw`{"x":"\u0073ecret"}` }),
  "a match over two parts": whole({ content: [text("sec"), text("ret")] }),
  reasoning: whole({ content: "x", reasoning_content: "a secret" }),
  "a refusal": whole({ content: null, refusal: "a secret" }),
  "a legacy function call": whole({ content: null, function_call: { name: "secret", arguments: "{}" } }),
  "a transcript of audio": whole({ content: "x", audio: { id: "audio_1", data: "", transcript: "secret" } }),
  "an unknown member": whole({ content: "x" }, { novel: { deep: ["secret"] } }),
  "the name of an unknown member": whole({ content: "x" }, { novel: { secret: 1 } }),
  "a number in an unknown member": whole({ content: "x" }, { novel: 4111111111111111 }),
  "an invalid finish reason": JSON.stringify({
    ...HEAD,
    choices: [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "secret" }],
  }),
  "an invalid id": JSON.stringify({ ...JSON.parse(whole({ content: "x" })), id: "a secret" }),
  "a text of a choice": JSON.stringify({ ...HEAD, choices: [{ index: 0, text: "a secret", finish_reason: "stop" }] }),
};

const event = (chunk: object): string =>
  `data: ${JSON.stringify({ ...HEAD, object: "chat.completion.chunk", ...chunk })}\n\n`;
const choice = (choice: object): string => event({ choices: [{ index: 0, ...choice }] });
const delta = (...deltas: readonly object[]): string => deltas.map((delta) => choice({ delta })).join("");
const args = (...pieces: readonly string[]): string =>
  delta(...pieces.map((piece) => ({ tool_calls: [{ index: 0, function: { arguments: piece } }] })));
const END = `${choice({ delta: {}, finish_reason: "stop" })}data: [DONE]\n\n`;

/** Streams of chunks. */
export const STREAMS: Readonly<Record<string, string>> = {
  "a match over chunks": delta({ content: "sec" }, { content: "ret" }) + END,
  "a match over parts of one chunk": delta({ content: [text("sec"), text("ret")] }) + END,
  "a match over parts of several chunks": delta({ content: [text("se"), text("c")] }, { content: [text("ret")] }) + END,
  "a text that continues in a part": delta({ content: "sec" }, { content: [text("ret")] }) + END,
  "hidden characters over chunks": delta({ content: "se" }, { content: "\u200b" }, { content: "ｃret" }) + END,
  "a surrogate half between chunks": delta({ content: "sec" }, { content: "\ud800" }, { content: "ret" }) + END,
  "an escape over chunks of arguments": args('{"x":"\\', "u00", "73ecr", 'et"}') + END,
  "a name in arguments": args('{"sec', 'ret":1}') + END,
  "the name of a tool":
    delta(
      { tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "sec" } }] },
      { tool_calls: [{ index: 0, function: { name: "ret" } }] },
    ) + END,
  "the name of a function call": delta({ function_call: { name: "sec" } }, { function_call: { name: "ret" } }) + END,
  "text after the chunk that finishes a choice":
    delta({ content: "sec" }) + choice({ delta: {}, finish_reason: "stop" }) + delta({ content: "ret" }) + END,
  "text after the end of the stream": `${delta({ content: "sec" })}data: [DONE]\n\n${delta({ content: "ret" })}`,
  "choices that are an object":
    event({ choices: { 0: { delta: { content: "sec" } } } }) + event({ choices: { 0: { delta: { content: "ret" } } } }),
  "texts of choices": choice({ text: "sec" }) + choice({ text: "ret" }) + END,
  "messages instead of deltas": choice({ message: { content: "sec" } }) + choice({ message: { content: "ret" } }) + END,
  "a whole message in the last chunk":
    delta({ content: "x" }) +
    choice({ message: { content: "a secret" }, delta: {}, finish_reason: "stop" }) +
    "data: [DONE]\n\n",
  "the event, the id and comments": `: secret\n\nevent: secret\nid: secret\n${delta({ content: "x" })}: secret\n${END}`,
  "a retry field with text": `retry: secret\n${delta({ content: "x" })}${END}`,
  "a delta that is an array": choice({ delta: [{ content: "sec" }] }) + choice({ delta: [{ content: "ret" }] }) + END,
  "members that are given twice":
    'data: {"id":"x","choices":[{"index":0,"delta":{"content":"junk","content":"sec"}}]}\n\n' +
    'data: {"id":"x","choices":[{"index":0,"delta":{"content":"junk","content":"ret"}}]}\n\n' +
    END,
  "an index that is a string":
    event({ choices: [{ index: "0", delta: { content: "sec" } }] }) + delta({ content: "ret" }) + END,
  "another index than that of the one choice":
    event({ choices: [{ index: 3, delta: { content: "sec" } }] }) + delta({ content: "ret" }) + END,
  "no index at all": event({ choices: [{ delta: { content: "sec" } }] }) + delta({ content: "ret" }) + END,
  "an index of a tool call that is missing":
    delta({ tool_calls: [{ function: { arguments: "sec" } }] }, { tool_calls: [{ function: { arguments: "ret" } }] }) +
    END,
  reasoning: delta({ reasoning_content: "sec" }, { reasoning_content: "ret" }) + END,
  "details of reasoning":
    delta({ reasoning_details: [{ index: 0, text: "sec" }] }, { reasoning_details: [{ index: 0, text: "ret" }] }) + END,
  "several details of reasoning":
    delta({ reasoning_details: [{ index: 0, text: "sec" }] }, { reasoning_details: [{ index: 1, text: "ret" }] }) + END,
  thinking: delta({ thinking: "sec" }, { thinking: "ret" }) + END,
  "a refusal": delta({ refusal: "sec" }, { refusal: "ret" }) + END,
  logprobs: choice({ delta: { content: "x" }, logprobs: { content: [{ token: "sec" }, { token: "ret" }] } }) + END,
  "logprobs within a delta": choice({ delta: { content: "x", logprobs: { content: [{ token: "secret" }] } } }) + END,
  "an unknown member": event({ choices: [{ index: 0, delta: { content: "held s" } }], novel: "secret" }) + END,
  "the name of an unknown member": event({ choices: [], novel: { secret: 1 } }) + END,
  "a number in an unknown member": event({ choices: [], novel: 4111111111111111 }) + END,
  "an error event": `data: {"error":{"message":"a secret"}}\n\n`,
  "an event that is not JSON": `data: the secret\n\n${END}`,
  "no end of the stream": delta({ content: "secre" }, { content: "t" }),
};
