import { deflateSync } from "node:zlib";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import type OpenAI from "openai";

type Message = OpenAI.ChatCompletionMessageParam;

/** Request as clients really send it, with the input tokens that OpenAI counts for it for gpt-4o. */
export interface SampleRequest {
  readonly name: string;
  readonly messages: readonly [Message, ...Message[]];
  readonly tools?: readonly OpenAI.ChatCompletionTool[];
  readonly inputTokens: number;
}

const PROSE = [
  "A request is admitted before it goes upstream, and what it may cost at most is reserved until its real cost is known.",
  "Whoever waits for a table in a small restaurant learns patience; whoever books one learns that plans change anyway.",
  "The committee met on Thursday, read the report twice, and decided to ask for the figures of the previous quarter.",
  "Rain had fallen all night, so that the river stood higher than anybody in the village could remember having seen it.",
];

/** English text of about the given number of characters. */
export function english(characters: number): string {
  const sentences: string[] = [];
  for (let length = 0, index = 0; length < characters; index++) {
    const sentence = `${PROSE[index % PROSE.length] ?? ""}${index % 5 === 4 ? "\n\n" : " "}`;
    sentences.push(sentence);
    length += sentence.length;
  }
  return sentences.join("");
}

/** JSON of records, as a service returns it. */
export function jsonRecords(count: number): string {
  const records = Array.from({ length: count }, (_, index) => ({
    id: `order-${1_000 + index}`,
    customer: { name: "Anna Schmidt", email: `anna.schmidt${index}@example.com` },
    items: [{ sku: `SKU-${index * 7}`, quantity: (index % 4) + 1, price: 19.99 + index }],
    shipped: index % 2 === 0,
  }));
  return JSON.stringify(records, undefined, 2);
}

/** JPEG of the given numbers of pixels and bytes, in base64. Only its header is real. */
export function photo(width: number, height: number, bytes: number): string {
  const header = Buffer.from([0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, height >> 8, height & 255, width >> 8, width & 255, 3]);
  const body = Buffer.alloc(bytes, "routeplane");
  return Buffer.concat([header, body]).toString("base64");
}

/** PDF of pages with these texts, in base64, compressed as programs write it. */
export function pdf(pageTexts: readonly string[]): string {
  const contents = pageTexts.map((text, index) => {
    const lines = text.match(/.{1,80}/g) ?? [];
    const operators = lines.map((line, at) => `BT /F1 10 Tf 60 ${740 - 12 * at} Td (${line}) Tj ET`).join("\n");
    const body = deflateSync(Buffer.from(operators)).toString("latin1");
    return `${100 + index} 0 obj\n<< /Filter /FlateDecode /Length ${body.length} >>\nstream\n${body}\nendstream\nendobj\n`;
  });
  const pages = pageTexts.map(
    (_, index) =>
      `${10 + index} 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${100 + index} 0 R >>\nendobj\n`,
  );
  const kids = pageTexts.map((_, index) => `${10 + index} 0 R`).join(" ");
  const tree = `2 0 obj\n<< /Type /Pages /Kids [${kids}] /Count ${pageTexts.length} >>\nendobj\n`;
  return Buffer.from(`%PDF-1.7\n${tree}${pages.join("")}${contents.join("")}%%EOF\n`, "latin1").toString("base64");
}

/** Tokens of the chat template: 3, and 3 and the role for each message. */
const templateTokens = (messages: number): number => 3 + 4 * messages;
/** Tokens of an image of 1,024 by 768 pixels: 4 tiles. */
const PHOTO_TOKENS = 765;
/** Tokens of the image of a page: 4 tiles. */
const PAGE_TOKENS = 765;

function chat(name: string, contents: readonly [string, ...string[]]): SampleRequest {
  const roleOf = (index: number) => (index % 2 === 0 ? "user" : "assistant");
  const [first, ...rest] = contents.map((content, index): Message => ({ role: roleOf(index), content }));
  if (first === undefined) throw new Error("a chat without messages");
  const tokens = contents.reduce((sum, content) => sum + countTokens(content), 0);
  return { name, messages: [first, ...rest], inputTokens: tokens + templateTokens(contents.length) };
}

function withPart(name: string, part: OpenAI.ChatCompletionContentPart, tokens: number): SampleRequest {
  const text = "What does this show? Answer in one sentence.";
  const content: OpenAI.ChatCompletionContentPart[] = [{ type: "text", text }, part];
  return { name, messages: [{ role: "user", content }], inputTokens: countTokens(text) + tokens + templateTokens(1) };
}

const url = `data:image/jpeg;base64,${photo(1_024, 768, 60_000)}`;
const pageText = english(900).replaceAll("\n", " ");
const file = { filename: "report.pdf", file_data: `data:application/pdf;base64,${pdf([pageText])}` };

/** Requests of the kinds that clients send, of which the first is a chat in English. */
export const SAMPLE_REQUESTS: readonly SampleRequest[] = [
  chat("a chat", [english(800), english(500), english(300)]),
  chat("40 KB of English", [english(40_000)]),
  chat("JSON", [`Which orders are not shipped?\n${jsonRecords(40)}`]),
  withPart("a photo", { type: "image_url", image_url: { url } }, PHOTO_TOKENS),
  withPart("a PDF", { type: "file", file }, PAGE_TOKENS + countTokens(pageText)),
];
