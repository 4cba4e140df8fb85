/**
 * Counter of the tokens of texts by byte-pair encoding in a public vocabulary, as its owner counts them.
 *
 * A text falls into pieces by a regular expression, a piece into tokens by merging neighbours: always the two that together are
 * the token of the lowest rank. Merging takes the square of a piece's length, so that long pieces, and long texts, are cut. A cut
 * can change the count near it by a token or so, and each adds `CUT_TOKENS`: the result is never less than the true count, and
 * equal to it for texts without a cut.
 */

/** Tokens by rank: a text, or the bytes where they are not UTF-8; undefined for a rank without a token. */
export type RankedTokens = readonly (string | readonly number[] | undefined)[];

/** Length in UTF-16 code units at which a text is cut: bounds the memory of the regular expression. */
const MAX_STRETCH = 16_384;
/** Length in bytes at which a piece is cut. Words and runs of white space in real texts are shorter. */
const MAX_PIECE = 512;
/** Tokens added for each cut. */
const CUT_TOKENS = 2;

export class BytePairs {
  /** Ranks by the bytes of each token, one character a byte. */
  readonly #ranks = new Map<string, number>();
  readonly #pieces: RegExp;
  /** Starts of the parts of the piece that is being merged, and the rank of each part together with the next one. */
  readonly #starts = new Int32Array(MAX_PIECE + 1);
  readonly #pairRanks = new Int32Array(MAX_PIECE + 1);

  /** @param pieces matches one piece after the other; with the flags `g` and `u` */
  constructor(tokens: RankedTokens, pieces: RegExp) {
    this.#pieces = pieces;
    tokens.forEach((token, rank) => {
      if (token !== undefined) this.#ranks.set(bytesOf(token), rank);
    });
  }

  /** Bounds the tokens of a text; special tokens in it count as text. */
  count(text: string): number {
    let tokens = 0;
    for (let from = 0; from < text.length;) {
      const end = endOfStretch(text, from);
      tokens += this.#countStretch(text.slice(from, end)) + (end < text.length ? CUT_TOKENS : 0);
      from = end;
    }
    return tokens;
  }

  #countStretch(text: string): number {
    const isAscii = Buffer.byteLength(text) === text.length;
    let tokens = 0;
    for (const [piece] of text.matchAll(this.#pieces)) {
      const bytes = isAscii ? piece : bytesOf(piece);
      tokens += this.#ranks.has(bytes) ? 1 : this.#countPiece(bytes);
    }
    return tokens;
  }

  #countPiece(bytes: string): number {
    let tokens = 0;
    let from = 0;
    while (bytes.length - from > MAX_PIECE) {
      let end = from + MAX_PIECE;
      while (isContinuation(bytes.charCodeAt(end))) end--;
      tokens += this.#merge(bytes.slice(from, end)) + CUT_TOKENS;
      from = end;
    }
    return tokens + this.#merge(bytes.slice(from));
  }

  /** Counts the parts that remain of at most `MAX_PIECE` bytes after all merges. */
  #merge(bytes: string): number {
    const [starts, pairRanks] = [this.#starts, this.#pairRanks];
    let parts = bytes.length;
    for (let part = 0; part < parts; part++) {
      starts[part] = part;
      pairRanks[part] = this.#rankOf(bytes, part, part + 2);
    }
    starts[parts] = bytes.length;
    while (parts > 1) {
      let lowest = NO_RANK;
      let first = 0;
      for (let part = 0; part < parts - 1; part++) {
        const rank = pairRanks[part] ?? NO_RANK;
        if (rank < lowest) [lowest, first] = [rank, part];
      }
      if (lowest === NO_RANK) break;
      starts.copyWithin(first + 1, first + 2, parts + 1);
      pairRanks.copyWithin(first + 1, first + 2, parts);
      parts--;
      this.#rankPair(bytes, first, parts);
      if (first > 0) this.#rankPair(bytes, first - 1, parts);
    }
    return parts;
  }

  #rankPair(bytes: string, part: number, parts: number): void {
    const end = part + 2 <= parts ? (this.#starts[part + 2] ?? 0) : bytes.length + 1;
    this.#pairRanks[part] = this.#rankOf(bytes, this.#starts[part] ?? 0, end);
  }

  #rankOf(bytes: string, start: number, end: number): number {
    return end > bytes.length ? NO_RANK : (this.#ranks.get(bytes.slice(start, end)) ?? NO_RANK);
  }
}

/** Rank of parts that are not a token together. */
const NO_RANK = 0x7f_ff_ff_ff;

function bytesOf(token: string | readonly number[]): string {
  return (typeof token === "string" ? Buffer.from(token) : Buffer.from(token)).toString("latin1");
}

function endOfStretch(text: string, from: number): number {
  const end = from + MAX_STRETCH;
  if (end >= text.length) return text.length;
  return isTrailSurrogate(text.charCodeAt(end)) ? end - 1 : end;
}

function isTrailSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
