/**
 * Tokens that providers count for media, by their own formulas and maxima. A model of no known family has the dearest of all
 * formulas, because a deployment may have any name.
 *
 * Sources: the guides to images and vision of OpenAI, Anthropic, Google, xAI, Mistral, Meta and Alibaba.
 */
import { familyNameOf } from "../tokens/model-families.ts";
import type { ImageSize } from "./image-size.ts";
import type { Medium } from "./media.ts";
import type { PdfSize } from "./pdf.ts";

/** Bound of the tokens of an image; its size is undefined if it is not known. */
type ImageFormula = (size: ImageSize | undefined, detail: unknown) => number;

/** Tiles of 512 pixels of an image that is made to fit into 2,048 pixels, and 768 pixels on its shorter side: at most 8. */
function tiles(baseTokens: number, tileTokens: number): ImageFormula {
  return (size, detail) => {
    if (detail === "low") return baseTokens;
    return baseTokens + tileTokens * (size === undefined ? 8 : tilesOf(size));
  };
}

function tilesOf({ width, height }: ImageSize): number {
  const fit = Math.min(1, 2_048 / Math.max(width, height));
  const scale = fit * Math.min(1, 768 / (Math.min(width, height) * fit));
  // Less a millionth of a tile, which is the error of the arithmetic.
  const along = (side: number): number => Math.max(1, Math.ceil((side * scale) / 512 - 1e-6));
  return along(width) * along(height);
}

/** Patches of `side` pixels, up to a maximum. */
function patches(side: number, max: number, factor = 1): ImageFormula {
  return (size) => Math.ceil(factor * Math.min(max, size === undefined ? max : countPatches(size, side)));
}

function countPatches({ width, height }: ImageSize, side: number): number {
  return Math.ceil(width / side) * Math.ceil(height / side);
}

function dearestOf(...formulas: readonly ImageFormula[]): ImageFormula {
  return (size, detail) => Math.max(...formulas.map((formula) => formula(size, detail)));
}

/** Later models of OpenAI: tiles or patches; a client may ask for up to 10,000 patches. */
function laterOpenAi(factor: number): ImageFormula {
  const usual = dearestOf(tiles(70, 140), patches(32, 2_500, factor));
  const original = patches(32, 10_000, factor);
  return (size, detail) => (detail === "original" ? original : usual)(size, detail);
}

/** A token for each 750 pixels, or patches of 28 pixels. */
function anthropic(max: number): ImageFormula {
  return (size) => {
    if (size === undefined) return max;
    return Math.min(max, Math.max(Math.ceil((size.width * size.height) / 750), countPatches(size, 28)) + 8);
  };
}

/** Tiles of 258 tokens, whose side is between 256 and 768 pixels and two thirds of the shorter side of the image. */
const gemini: ImageFormula = (size) => {
  const max = 24;
  if (size === undefined) return 258 * max;
  if (Math.max(size.width, size.height) <= 384) return 258;
  const side = Math.min(768, Math.max(256, Math.floor(Math.min(size.width, size.height) / 1.5)));
  return 258 * Math.min(max, countPatches(size, side));
};

const grok: ImageFormula = (size) => 256 * Math.min(7, size === undefined ? 7 : countPatches(size, 448) + 1);

const GPT_4O_MINI = tiles(2_833, 5_667);
const QWEN = patches(28, 16_386);

/** Formulas by family, the first that fits. */
const IMAGES: readonly (readonly [RegExp, ImageFormula])[] = [
  [/^gpt-4o-mini/, GPT_4O_MINI],
  [/^(?:gpt-4\.1-mini|gpt-5-mini)/, patches(32, 1_536, 1.62)],
  [/^(?:gpt-4\.1-nano|gpt-5-nano)/, patches(32, 1_536, 2.46)],
  [/^o4-mini/, patches(32, 1_536, 1.72)],
  [/^(?:gpt-4o|chatgpt-4o|gpt-4\.1|gpt-4\.5|gpt-4-)/, tiles(85, 170)],
  [/^(?:o1|o3)(?![a-z0-9])/, tiles(75, 150)],
  [/^gpt-5(?:-|$)/, tiles(70, 140)],
  [/^gpt-\d.*mini/, laterOpenAi(1.62)],
  [/^gpt-\d.*nano/, laterOpenAi(2.46)],
  [/^gpt-\d/, laterOpenAi(1.2)],
  [/^claude-(?:[23]|(?:opus|sonnet|haiku)-4(?:-[0-6]|$|-\d{8}))(?!\d(?!\d{7}))/, anthropic(1_650)],
  [/^claude/, anthropic(5_000)],
  [/^gemini-[3-9]/, dearestOf(gemini, () => 2_300)],
  [/^gemini/, gemini],
  [/^grok/, grok],
  [/^(?:pixtral|mistral|ministral|magistral)/, dearestOf(patches(16, 4_200, 1.1), patches(28, 3_100, 1.1))],
  [/^llama/, () => 6_500],
  [/^(?:qwen|qvq)/, QWEN],
];

const ANY_IMAGE = dearestOf(GPT_4O_MINI, laterOpenAi(2.46), anthropic(5_000), gemini, grok, QWEN, () => 6_500);

/** Text of a page that is as full as a page can be read. */
const PAGE_TEXT_TOKENS = 4_000;
/** Allowance for the text around that of a page. */
const PAGE_FRAME_TOKENS = 60;
/** Tokens of a byte of a page's text; a letter of some fonts has two bytes. */
const TOKENS_PER_TEXT_BYTE = 0.75;
/** Allowance for a file of any length, which may fill the whole context. */
const FILE_TOKENS = 1_000_000;
/** Tokens of a second of audio; the dearest of unknown ones. */
const AUDIO_TOKENS_PER_SECOND: readonly (readonly [RegExp, number])[] = [
  [/^(?:gpt|o\d)/, 10],
  [/^gemini/, 32],
  [/^/, 50],
];
/** Tokens around a medium. */
const FRAME_TOKENS = 12;

/** Bounds the tokens of media for a model. */
export function boundMedia(media: readonly Medium[], modelId: string): number {
  if (media.length === 0) return 0;
  const family = familyNameOf(modelId);
  const formula = IMAGES.find(([pattern]) => pattern.test(family))?.[1] ?? ANY_IMAGE;
  return media.reduce((sum, medium) => sum + FRAME_TOKENS + tokensOf(medium, family, formula), 0);
}

function tokensOf(medium: Medium, family: string, image: ImageFormula): number {
  switch (medium.kind) {
    case "image":
      return image(medium.size, medium.detail);
    case "audio": {
      const perSecond = AUDIO_TOKENS_PER_SECOND.find(([pattern]) => pattern.test(family))?.[1] ?? 50;
      return Math.ceil(medium.seconds * perSecond);
    }
    case "document":
      return Math.min(FILE_TOKENS, textTokensOf(medium) + medium.pages * image(medium.pageSize, undefined));
    case "text":
      return Math.min(FILE_TOKENS, medium.bytes);
    case "file":
      return FILE_TOKENS;
  }
}

/** Bounds the text of a document, which some providers count in addition to the images of its pages. */
function textTokensOf({ pages, textBytes }: PdfSize): number {
  const full = pages * PAGE_TEXT_TOKENS;
  if (textBytes === undefined) return full;
  return Math.min(full, Math.ceil(textBytes * TOKENS_PER_TEXT_BYTE) + pages * PAGE_FRAME_TOKENS);
}
