import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { english, jsonRecords } from "../harness/sample-requests.ts";

/** Texts of the kinds that clients send, by name. Natural languages are the first article of the Declaration of Human Rights. */
export async function readCorpus(): Promise<Readonly<Record<string, string>>> {
  const root = join(import.meta.dirname, "../..");
  const read = (path: string) => readFile(join(root, path), "utf8");
  const code = await read("services/gateway/src/domain/pipeline.ts");
  return {
    English: english(8_000),
    "technical English": (await read("services/gateway/README.md")).slice(0, 12_000),
    German: repeated(ARTICLE.german),
    Russian: repeated(ARTICLE.russian),
    Chinese: repeated(ARTICLE.chinese),
    Japanese: repeated(ARTICLE.japanese),
    Korean: repeated(ARTICLE.korean),
    Thai: repeated(ARTICLE.thai),
    Arabic: repeated(ARTICLE.arabic),
    Hindi: repeated(ARTICLE.hindi),
    "TypeScript code": code.slice(0, 12_000),
    "minified JavaScript": minified(code).slice(0, 8_000),
    "SQL and a migration": (await read("services/policy/migrations/0006_counters.ts")).slice(0, 8_000),
    "indented JSON": jsonRecords(30),
    "compact JSON": JSON.stringify(JSON.parse(jsonRecords(40))),
    YAML: (await read("deploy/kustomize/base/gateway.yaml")).slice(0, 8_000),
    "tool schemas": JSON.stringify(toolSchemas(20)),
    "Markdown tables": (await read("docs/errors.md")).slice(0, 12_000),
    "log lines": logLines(80),
    "stack traces": stackTraces(20),
    CSV: csv(150),
    HTML: html(60),
    emoji: "Great job 🎉🎉 see you soon 👋🏽 👨‍👩‍👧‍👦 ❤️ 🚀🚀🚀 ok 😀😂🤣\n".repeat(60),
    "base64 in text": Buffer.from(digests(80), "hex").toString("base64"),
    hexadecimal: digests(80),
    UUIDs: uuids(100),
    digits: digits(300),
    "runs of white space": `${"  ".repeat(40)}\n${"\t".repeat(9)}\n\n\n    x\n`.repeat(60),
    "a table drawn with lines": `+${"-".repeat(60)}+\n|${" ".repeat(60)}|\n`.repeat(60),
  };
}

const ARTICLE = {
  german:
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geiste der Brüderlichkeit begegnen. ",
  russian:
    "Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства. ",
  chinese: "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
  japanese:
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
  korean:
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다. ",
  thai: "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ ",
  arabic:
    "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء. ",
  hindi:
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए। ",
} as const;

function repeated(text: string): string {
  return text.repeat(Math.ceil(4_000 / text.length));
}

function minified(code: string): string {
  return code
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")
    .replace(/\s+/g, " ")
    .replace(/ ?([{}()[\];:,=<>+]) ?/g, "$1")
    .replace(/\b[a-z][A-Za-z]{7,}\b/g, (name) => name.slice(0, 2));
}

function toolSchemas(count: number): readonly object[] {
  return Array.from({ length: count }, (_, index) => ({
    type: "function",
    function: {
      name: `search_orders_${index}`,
      description: "Searches the orders of a customer by date, state and amount, and returns at most 50 of them.",
      parameters: {
        type: "object",
        properties: {
          customer_id: { type: "string", description: "Id of the customer, e.g. cus_123" },
          from: { type: "string", format: "date-time" },
          states: { type: "array", items: { type: "string", enum: ["open", "paid", "shipped"] } },
        },
        required: ["customer_id"],
        additionalProperties: false,
      },
    },
  }));
}

function logLines(count: number): string {
  const line = (index: number) =>
    `2026-11-29T02:${String(index % 60).padStart(2, "0")}:17.${100 + index}Z INFO gateway[${4_000 + index}] POST /v1/chat/completions 200 ${index * 13} ms key=key_01h${index}x7 bytes=${index * 917}`;
  return Array.from({ length: count }, (_, index) => line(index)).join("\n");
}

function stackTraces(count: number): string {
  const trace = `TypeError: Cannot read properties of undefined (reading 'status')
    at OpenReservation.settle (/app/services/gateway/src/domain/metering/open-reservation.ts:171:23)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)
    at async Server.handle (file:///app/node_modules/undici/lib/core/request.js:88:12)
`;
  return trace.repeat(count);
}

function csv(count: number): string {
  const row = (index: number) =>
    `${index},2026-${(index % 12) + 1}-03,"Schmidt, Anna",${(index * 1.37).toFixed(2)},EUR,paid`;
  return `id,date,customer,amount,currency,state\n${Array.from({ length: count }, (_, index) => row(index)).join("\n")}`;
}

function html(count: number): string {
  const row = (index: number) =>
    `<tr class="row row-${index}"><td><a href="/orders/${index}?tab=items&amp;page=2">Order ${index}</a></td><td>&euro; ${index}.00</td></tr>`;
  return `<table>\n${Array.from({ length: count }, (_, index) => row(index)).join("\n")}\n</table>`;
}

const digest = (index: number) => createHash("sha256").update(`${index}`).digest("hex");

function digests(count: number): string {
  return Array.from({ length: count }, (_, index) => digest(index)).join("");
}

function uuids(count: number): string {
  const uuid = (index: number) => digest(index).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, "$1-$2-$3-$4-$5");
  return Array.from({ length: count }, (_, index) => uuid(index)).join("\n");
}

function digits(count: number): string {
  return Array.from({ length: count }, (_, index) => `${BigInt(`0x${digest(index).slice(0, 12)}`)}`).join(" ");
}
