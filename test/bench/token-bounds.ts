import { countTokens as countCl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { countTokens as countO200k } from "gpt-tokenizer/encoding/o200k_base";
import { createLogger } from "@routeplane/runtime";
import { createTokenCounter } from "../../services/gateway/src/clients/token-counter.ts";
import { parseRequest } from "../../services/gateway/src/domain/request/parse-request.ts";
import { CHAT } from "../../services/gateway/src/domain/wires/chat/chat-wire.ts";
import { boundTokens, tightenBounds } from "../../services/gateway/src/domain/request/token-bounds.ts";
import { readCorpus } from "./corpus.ts";
import { median } from "./times.ts";

/**
 * Compares the bounds of requests with the tokens that their texts have, over a corpus: the bound for models whose vocabulary is
 * public, and the bound by classes of characters, each with its template. Fails if a bound is less than the count.
 */

const COUNTS = { o200k_base: countO200k, cl100k_base: countCl100k };
const MODELS = { o200k_base: "gpt-4o", cl100k_base: "gpt-4" } as const;
/** Tokens of OpenAI's chat template for one message. */
const TEMPLATE_TOKENS = 7;

async function main(): Promise<void> {
  const counter = createTokenCounter(createLogger("bench", (text) => text, "silent"));
  const ratios = { known: [] as number[], classes: [] as number[] };
  process.stdout.write("kind | o200k tokens | known o200k | known cl100k | classes / o200k | classes / cl100k\n");
  for (const [kind, text] of Object.entries(await readCorpus())) {
    const isTools = kind === "tool schemas";
    const request = await (isTools ? parse("Hi", { tools: JSON.parse(text) as unknown }) : parse(text));
    const boundOf = async (model: object) => (await tightenBounds(boundTokens(request, model), counter)).inputTokensMax;
    const classes = await boundOf({ id: "any" });
    const cells: number[] = [];
    for (const tokenizer of ["o200k_base", "cl100k_base"] as const) {
      const real = COUNTS[tokenizer](text) + TEMPLATE_TOKENS;
      const known = await boundOf({ id: MODELS[tokenizer], tokenizer });
      if (known < real || classes < real) throw new Error(`${kind}: the bound is less than ${real} of ${tokenizer}`);
      ratios.known.push(known / real);
      ratios.classes.push(classes / real);
      cells.push(known / real, classes / real);
    }
    const [known200 = 0, classes200 = 0, known100 = 0, classes100 = 0] = cells;
    const shown = [known200, known100, classes200, classes100].map((ratio) => ratio.toFixed(2));
    process.stdout.write(`${[kind, countO200k(text), ...shown].join(" | ")}\n`);
  }
  for (const [name, values] of Object.entries(ratios)) {
    process.stdout.write(`${name}: median ${median(values).toFixed(2)}, maximum ${Math.max(...values).toFixed(2)}\n`);
  }
  await counter.stop();
}

function parse(content: string, more: object = {}) {
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content }], ...more });
  return parseRequest(CHAT, Buffer.from(body), new AbortController().signal);
}

await main();
