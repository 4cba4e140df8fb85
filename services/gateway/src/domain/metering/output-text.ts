/**
 * Tokens of the text that an answer delivers, counted as it passes and not kept: an estimate for answers whose usage is not
 * known, and a bound below which no tokenizer can come. Neither is exact, whichever tokenizer the model has.
 */

/** Maximum number of words in one token of any known vocabulary, on average over a text; almost all tokens hold one. */
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

/** Classes of characters, in an order in which a space, a newline and what starts a word are ranges. */
const KIND = {
  space: 0,
  newline: 1,
  lower: 2,
  latin: 3,
  upper: 4,
  digit: 5,
  mark: 6,
  /** Greek, Cyrillic, Hebrew, Arabic and others of two bytes. */
  twoBytes: 7,
  /** Half of a surrogate pair, as of an emoji. */
  surrogate: 8,
  /** Kana, Han and Hangul. */
  wide: 9,
  /** Thai, Lao, Burmese and Khmer, which write words without spaces. */
  unspaced: 10,
  /** Other scripts of India and South-East Asia, and symbols. */
  threeBytes: 11,
} as const;

/**
 * Tokens that a character makes, by its class. Measured on o200k and cl100k over prose, code, JSON, logs, tables and the scripts
 * above: -20 % to +30 % of the count for text in Latin script, source and JSON; between the two vocabularies for the others.
 */
const WEIGHT: readonly number[] = [0, 0.8, 0.14, 0.7, 0.35, 0.45, 0.85, 0.5, 1.2, 1, 0.65, 0.65];
/** Additional tokens for the first letter of a word, or of a part of one in camel case. */
const WORD_START = 0.5;
/** Tokens of a space or tab after another; the first belongs to the word that follows. */
const MORE_SPACE = 0.06;
/** Tokens of punctuation after punctuation. */
const MORE_MARKS = 0.5;

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
    return Math.ceil(Math.max(this.#words / WORDS_PER_TOKEN, this.leastByLength));
  }

  /** Lower bound by the length of the text alone. A count below it is impossible; one below `least` is only improbable. */
  get leastByLength(): number {
    const chars = this.#chars * UNSPACED_CHARS_PER_TOKEN + this.#unspacedChars * CHARS_PER_TOKEN;
    return Math.ceil(chars / CHARS_PRODUCT);
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
    if (length === 0) return;
    let withinWord = this.#withinWord.has(choice);
    let previous: number = withinWord ? KIND.lower : KIND.space;
    let estimate = 0;
    let words = 0;
    let unspaced = 0;
    for (let at = 0; at < length; at++) {
      const unit = text.charCodeAt(at);
      const kind = unit < 0x80 ? (ASCII[unit] ?? KIND.mark) : kindOf(unit);
      if (kind <= KIND.newline) {
        withinWord = false;
        if (previous !== kind) estimate += WEIGHT[kind] ?? 0;
        else if (kind === KIND.space) estimate += MORE_SPACE;
      } else {
        if (!withinWord) words++;
        withinWord = true;
        if (kind === KIND.wide || kind === KIND.unspaced) unspaced++;
        estimate += kind === KIND.mark && previous === kind ? MORE_MARKS : (WEIGHT[kind] ?? 0);
        if (startsToken(kind, previous)) estimate += WORD_START;
      }
      previous = kind;
    }
    this.#estimate += estimate;
    this.#words += words;
    this.#chars += length - unspaced;
    this.#unspacedChars += unspaced;
    if (withinWord) this.#withinWord.add(choice);
    else this.#withinWord.delete(choice);
  }
}

function startsToken(kind: number, previous: number): boolean {
  if (kind === KIND.lower) return previous < KIND.lower || previous > KIND.upper;
  return kind === KIND.upper && previous !== KIND.upper;
}

function kindOf(unit: number): number {
  if (unit < 0x250) return KIND.latin;
  if (unit < 0x800) return KIND.twoBytes;
  if (unit >= 0x3040 && unit < 0xd800) return KIND.wide;
  if (unit >= 0xd800 && unit < 0xe000) return KIND.surrogate;
  return isUnspaced(unit) ? KIND.unspaced : KIND.threeBytes;
}

function isUnspaced(unit: number): boolean {
  return (unit >= 0xe00 && unit < 0xf00) || (unit >= 0x1000 && unit < 0x10a0) || (unit >= 0x1780 && unit < 0x1800);
}

const ASCII = Uint8Array.from({ length: 0x80 }, (_, unit) => {
  const char = String.fromCharCode(unit);
  if (/[a-z]/.test(char)) return KIND.lower;
  if (/[A-Z]/.test(char)) return KIND.upper;
  if (/\d/.test(char)) return KIND.digit;
  if (/[\n\r]/.test(char)) return KIND.newline;
  return /\s/.test(char) ? KIND.space : KIND.mark;
});
