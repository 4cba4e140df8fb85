import { REDACTED } from "./spec.ts";
import type { Work } from "./work.ts";

/** Writer of a redacted text from its kept and redacted stretches, in order. Each call returns the output that is ready. */
export interface RedactionWriter {
  keep(text: string): string;
  redact(text: string): string;
  /** @returns the output that was held back */
  end(): string;
}

/** Writes prose: `REDACTED` for each run of redacted stretches. */
export class ProseRedactionWriter implements RedactionWriter {
  #isInRedaction = false;

  keep(text: string): string {
    if (text !== "") this.#isInRedaction = false;
    return text;
  }

  redact(): string {
    if (this.#isInRedaction) return "";
    this.#isInRedaction = true;
    return REDACTED;
  }

  end(): string {
    return "";
  }
}

const HEX = /[0-9a-fA-F]/;
const STRUCTURE = /[\s{}[\],:]/;
const JSON_BEGIN = /[{["]/;
/** Run of characters within a string. */
const RUN = /[^"\\]*/y;
/** Maximum length of a token, above that of any number in use. A longer token is treated as prose, not as JSON. */
const MAX_TOKEN_CHARS = 512;
/** Cost of reading a structural character, a character of a token or a run of a string, in steps of `Work`. */
const UNIT_STEPS = 10;

/**
 * Writes JSON that stays valid: within a string, `REDACTED` replaces each run of redacted stretches; a number or literal that is
 * redacted, in part or as a whole, becomes the string `"[REDACTED]"`; brackets, commas, colons and the quotes of strings stay.
 * Numbers, literals and escapes are held back until they are complete. A text that does not begin as an object, an array or a
 * string is redacted as prose.
 */
export class JsonRedactionWriter implements RedactionWriter {
  readonly #work: Work;
  /** True if the text is JSON; undefined until its first character. */
  #isJson: boolean | undefined;
  readonly #prose = new ProseRedactionWriter();
  #isInString = false;
  #isInRedaction = false;
  /** Number, literal or escape that is not complete yet. */
  #token = "";
  #isTokenRedacted = false;
  #isTokenProse = false;

  /** @param work budget that is charged for reading */
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
      if (this.#token !== "" && this.#continuesToken(unit)) {
        parts.push(this.#addToToken(unit, isRedacted));
        at++;
      } else if (this.#isInString && unit !== '"' && unit !== "\\") {
        parts.push(this.#endToken());
        RUN.lastIndex = at;
        const run = RUN.exec(text)?.[0] ?? unit;
        parts.push(this.#string(run, isRedacted));
        at += run.length;
      } else {
        parts.push(this.#endToken());
        if (unit === '"') this.#isInString = !this.#isInString;
        const isToken = unit === "\\" || !(unit === '"' || STRUCTURE.test(unit));
        if (!isToken) this.#isInRedaction = false;
        parts.push(isToken ? this.#addToToken(unit, isRedacted) : unit);
        at++;
      }
    }
    this.#work.spend(UNIT_STEPS * units);
    return parts.join("");
  }

  #continuesToken(unit: string): boolean {
    if (!this.#isInString) return unit !== '"' && !STRUCTURE.test(unit);
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
    if (this.#isInString) return this.#string(token, isRedacted);
    return isRedacted ? `"${REDACTED}"` : token;
  }

  #string(text: string, isRedacted: boolean): string {
    const isFirst = !this.#isInRedaction;
    this.#isInRedaction = isRedacted;
    if (!isRedacted) return text;
    return isFirst ? REDACTED : "";
  }
}
