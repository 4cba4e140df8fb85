/**
 * Tokens of the text that an answer delivers, counted as it passes and not kept: an estimate for answers whose usage is not
 * known, and a bound below which no tokenizer can come. Neither is exact, whichever tokenizer the model has.
 */

/** Words that one token of any known vocabulary holds at most, on average over a text; all but a few hold one. */
const WORDS_PER_TOKEN = 2;
/** Longest token of the public vocabularies: a run of 128 equal characters. */
const CHARS_PER_TOKEN = 128;
/** Longest token of scripts that write words without spaces, in the public vocabularies, with a margin. */
const UNSPACED_CHARS_PER_TOKEN = 20;
const CHARS_PRODUCT = CHARS_PER_TOKEN * UNSPACED_CHARS_PER_TOKEN;
/** Characters of a text of unknown kind, e.g. encrypted reasoning, that make a token. */
const OPAQUE_CHARS_PER_TOKEN = 4;
/** Characters of audio or an image, in base64, that make a token: speech at 16 kbit/s is 20 tokens a second. */
const MEDIA_CHARS_PER_TOKEN = 128;
/** Characters that are read one by one, some milliseconds' worth; the rest of a longer text is taken to be opaque. */
const MAX_SCANNED_CHARS = 256 * 1024;

/**
 * Tokens that a character makes, by its class. Measured on o200k and cl100k over prose, code, JSON, logs, tables and the scripts
 * below: -20 % to +30 % of the count for text in Latin script, source and JSON; between the two vocabularies for the others.
 */
const WEIGHT = {
  wordStart: 0.5,
  lower: 0.14,
  upper: 0.35,
  digit: 0.45,
  /** Space or tab after another; the first belongs to the word that follows. */
  moreSpace: 0.06,
  newline: 0.8,
  /** Punctuation, and punctuation after punctuation. */
  mark: 0.85,
  moreMarks: 0.5,
  latin: 0.7,
  /** Greek, Cyrillic, Hebrew, Arabic and others of two bytes. */
  twoBytes: 0.5,
  /** Half of a surrogate pair, as of an emoji. */
  surrogate: 1.2,
  /** Kana, Han and Hangul. */
  wide: 1,
  /** Scripts of India and South-East Asia, and symbols. */
  threeBytes: 0.65,
} as const;

type CharClass = keyof typeof WEIGHT | "space";

/** Counter of the tokens of one answer. */
export class OutputText {
  #estimate = 0;
  #words = 0;
  #chars = 0;
  /** Characters of scripts that write words without spaces. */
  #unspacedChars = 0;
  #scannable = MAX_SCANNED_CHARS;
  /** Choices whose last character is within a word, so that a word in pieces counts once. */
  readonly #withinWord = new Set<number>();

  /** Estimated tokens. */
  get estimate(): number {
    return Math.ceil(this.#estimate);
  }

  /** Lower bound of the tokens, whatever the tokenizer: text that runs on without end passes any bound on it. */
  get least(): number {
    const byChars = (this.#chars * UNSPACED_CHARS_PER_TOKEN + this.#unspacedChars * CHARS_PER_TOKEN) / CHARS_PRODUCT;
    return Math.ceil(Math.max(this.#words / WORDS_PER_TOKEN, byChars));
  }

  /** Allows as much work for the next chunk as for the first one. */
  startChunk(): void {
    this.#scannable = MAX_SCANNED_CHARS;
  }

  /** Adds text that a tokenizer made. @param choice index of its choice */
  addText(choice: number, text: string): void {
    const length = Math.min(text.length, this.#scannable);
    this.#scannable -= length;
    this.#scan(choice, text, length);
    if (text.length === length) return;
    this.#estimate += (text.length - length) / OPAQUE_CHARS_PER_TOKEN;
    this.#chars += text.length - length;
  }

  /** Adds text whose kind is not known, or of which the upstream may have made more than the model did. */
  addOpaque(text: string): void {
    const isMedia = text.startsWith("data:");
    this.#estimate += text.length / (isMedia ? MEDIA_CHARS_PER_TOKEN : OPAQUE_CHARS_PER_TOKEN);
  }

  /** Adds audio or an image in base64. */
  addMedia(data: string): void {
    this.#estimate += data.length / MEDIA_CHARS_PER_TOKEN;
  }

  #scan(choice: number, text: string, length: number): void {
    let withinWord = this.#withinWord.has(choice);
    let previous: CharClass = withinWord ? "lower" : "space";
    let estimate = 0;
    let words = 0;
    let unspaced = 0;
    for (let at = 0; at < length; at++) {
      const unit = text.charCodeAt(at);
      const kind = classOf(unit);
      if (kind === "space" || kind === "newline") {
        withinWord = false;
        if (kind === "newline" && previous !== "newline") estimate += WEIGHT.newline;
        else if (previous === kind) estimate += WEIGHT.moreSpace;
      } else {
        if (!withinWord) words++;
        withinWord = true;
        if (kind === "wide" || isUnspaced(unit)) unspaced++;
        if (kind === "mark") estimate += previous === "mark" ? WEIGHT.moreMarks : WEIGHT.mark;
        else estimate += WEIGHT[kind];
        if (startsToken(kind, previous)) estimate += WEIGHT.wordStart;
      }
      previous = kind;
    }
    this.#estimate += estimate;
    this.#words += words;
    this.#chars += length - unspaced;
    this.#unspacedChars += unspaced;
    if (length === 0) return;
    if (withinWord) this.#withinWord.add(choice);
    else this.#withinWord.delete(choice);
  }
}

function startsToken(kind: CharClass, previous: CharClass): boolean {
  if (kind === "lower") return previous !== "lower" && previous !== "upper" && previous !== "latin";
  return kind === "upper" && previous !== "upper";
}

function classOf(unit: number): CharClass {
  if (unit < 0x80) return ASCII[unit] ?? "mark";
  if (unit < 0x250) return "latin";
  if (unit < 0x800) return "twoBytes";
  if (unit >= 0xd800 && unit < 0xe000) return "surrogate";
  return unit >= 0x3040 && unit < 0xd800 ? "wide" : "threeBytes";
}

/** True for Thai, Lao, Burmese and Khmer, which write words without spaces. */
function isUnspaced(unit: number): boolean {
  return (unit >= 0xe00 && unit < 0xf00) || (unit >= 0x1000 && unit < 0x10a0) || (unit >= 0x1780 && unit < 0x1800);
}

const ASCII: readonly CharClass[] = Array.from({ length: 0x80 }, (_, unit) => {
  const char = String.fromCharCode(unit);
  if (/[a-z]/.test(char)) return "lower";
  if (/[A-Z]/.test(char)) return "upper";
  if (/\d/.test(char)) return "digit";
  if (/[\n\r]/.test(char)) return "newline";
  return /\s/.test(char) ? "space" : "mark";
});
