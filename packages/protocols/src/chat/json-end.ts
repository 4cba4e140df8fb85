/** Detector of the end of a JSON object that arrives in pieces. It stores no text. For input that is not JSON, the result is arbitrary. */
export class JsonEnd {
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #hasBegun = false;

  /** True once all opened brackets are closed. */
  get isWhole(): boolean {
    return this.#hasBegun && this.#depth === 0;
  }

  push(text: string): void {
    for (let at = 0; at < text.length; at++) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (this.#isInString) this.#readInString(text[at]);
      else this.#readOutside(text[at]);
    }
  }

  #readInString(letter: string | undefined): void {
    if (letter === "\\") this.#isEscaped = true;
    else if (letter === '"') this.#isInString = false;
  }

  #readOutside(letter: string | undefined): void {
    if (letter === '"') this.#isInString = true;
    else if (letter === "{" || letter === "[") {
      this.#depth++;
      this.#hasBegun = true;
    } else if (letter === "}" || letter === "]") this.#depth--;
  }
}
