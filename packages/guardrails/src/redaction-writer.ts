import { REDACTED } from "./spec.ts";
import type { Work } from "./work.ts";

/** Puts a text together from what is kept and what is redacted of it, in their order. Each call returns what is ready. */
export interface RedactionWriter {
  keep(text: string): string;
  redact(text: string): string;
  /** @returns what was held back */
  end(): string;
}

/** Text with `REDACTED` for each redacted stretch. */
export class ProseRedactionWriter implements RedactionWriter {
  #insideRedaction = false;

  keep(text: string): string {
    if (text !== "") this.#insideRedaction = false;
    return text;
  }

  redact(): string {
    if (this.#insideRedaction) return "";
    this.#insideRedaction = true;
    return REDACTED;
  }

  end(): string {
    return "";
  }
}

const HEX = /[0-9a-fA-F]/;
const STRUCTURE = /[\s{}[\],:]/;
const JSON_BEGIN = /[{["]/;
const RUN = /[^"\\]*/y;
/** Longer than any number that is written as one: what is longer is no JSON, and passes as prose. */
const MAX_TOKEN_CHARS = 512;
/** Cost of reading a mark, a character of a token or a run of a string, in steps of `Work`. */
const STEPS_OF_A_UNIT = 10;

/**
 * JSON that stays valid: within a string `REDACTED` replaces what is redacted; a number or a literal that is redacted, in part or
 * as a whole, becomes the string `"[REDACTED]"`; brackets, commas, colons and the quotes of strings stay. Numbers, literals and
 * escapes are held back until they are whole. A text that begins otherwise than an object, an array or a string is redacted as prose.
 */
export class JsonRedactionWriter implements RedactionWriter {
  readonly #work: Work;
  /** Undefined until the text begins. */
  #isJson: boolean | undefined;
  readonly #prose = new ProseRedactionWriter();
  #inString = false;
  #insideRedaction = false;
  /** A number, a literal or an escape that may go on. */
  #token = "";
  #isTokenRedacted = false;
  #isTokenProse = false;

  /** @param work charged for what is read */
  constructor(work: Work) {
    this.#work = work;
  }

  keep(text: string): string {
    return this.#read(text, false);
  }

  redact(text: string): string {
    return this.#read(text, true);
  }

  end(): string {
    return this.#endToken();
  }

  #read(text: string, isRedacted: boolean): string {
    const begin = text.trimStart()[0];
    if (begin !== undefined) this.#isJson ??= JSON_BEGIN.test(begin);
    if (this.#isJson !== true) return isRedacted ? this.#prose.redact() : this.#prose.keep(text);
    const parts: string[] = [];
    let units = 0;
    for (let at = 0; at < text.length; units++) {
      const unit = text[at] ?? "";
      if (this.#token !== "" && this.#goesOn(unit)) {
        parts.push(this.#addToToken(unit, isRedacted));
        at++;
      } else if (this.#inString && unit !== '"' && unit !== "\\") {
        parts.push(this.#endToken());
        RUN.lastIndex = at;
        const run = RUN.exec(text)?.[0] ?? unit;
        parts.push(this.#string(run, isRedacted));
        at += run.length;
      } else {
        parts.push(this.#endToken());
        if (unit === '"') this.#inString = !this.#inString;
        const isToken = unit === "\\" || !(unit === '"' || STRUCTURE.test(unit));
        if (!isToken) this.#insideRedaction = false;
        parts.push(isToken ? this.#addToToken(unit, isRedacted) : unit);
        at++;
      }
    }
    this.#work.spend(STEPS_OF_A_UNIT * units);
    return parts.join("");
  }

  #goesOn(unit: string): boolean {
    if (!this.#inString) return unit !== '"' && !STRUCTURE.test(unit);
    if (this.#token.length === 1) return true;
    return this.#token[1] === "u" && this.#token.length < 6 && HEX.test(unit);
  }

  #addToToken(unit: string, isRedacted: boolean): string {
    if (this.#isTokenProse) return this.#string(unit, isRedacted);
    this.#isTokenRedacted ||= isRedacted;
    if (this.#token.length < MAX_TOKEN_CHARS) this.#token += unit;
    this.#isTokenProse = this.#token.length === MAX_TOKEN_CHARS && !this.#isTokenRedacted;
    return this.#isTokenProse ? this.#token : "";
  }

  #endToken(): string {
    const [token, isRedacted, isProse] = [this.#token, this.#isTokenRedacted, this.#isTokenProse];
    if (token === "") return "";
    this.#token = "";
    this.#isTokenRedacted = false;
    this.#isTokenProse = false;
    if (isProse) return "";
    if (this.#inString) return this.#string(token, isRedacted);
    return isRedacted ? `"${REDACTED}"` : token;
  }

  #string(text: string, isRedacted: boolean): string {
    const isFirst = !this.#insideRedaction;
    this.#insideRedaction = isRedacted;
    if (!isRedacted) return text;
    return isFirst ? REDACTED : "";
  }
}
