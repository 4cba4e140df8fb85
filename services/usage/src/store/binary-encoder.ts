/** Of UTF-8, for one unit of a string. */
const MAX_BYTES = 3;
const LENGTH_BYTES = 4;
const TWO_32 = 2 ** 32;
/** Up to this a text is written unit by unit, which takes half the time of a call into the runtime. */
const SHORT = 64;

/**
 * Bytes one after the other, numbers with the highest byte first, in a buffer that grows. Numbers are written by hand: a
 * BigInt more for each took twice the time.
 */
export class BinaryEncoder {
  #buffer: Buffer;
  #at = 0;

  /** @param expected how many bytes it is going to be, about */
  constructor(expected: number) {
    this.#buffer = Buffer.allocUnsafe(expected);
  }

  byte(value: number): void {
    this.#ensure(1);
    this.#buffer[this.#at++] = value;
  }

  int32(value: number): void {
    this.#ensure(4);
    this.#put32(value);
  }

  /** @param value a number must be a safe integer */
  int64(value: number | bigint): void {
    this.#ensure(8);
    if (typeof value === "bigint") {
      const near = Number(value);
      if (!Number.isSafeInteger(near)) {
        this.#at = this.#buffer.writeBigInt64BE(value, this.#at);
        return;
      }
      value = near;
    }
    this.#put32(Math.floor(value / TWO_32));
    this.#put32(value);
  }

  text(value: string): void {
    this.#ensure(value.length * MAX_BYTES);
    if (value.length > SHORT || !this.#ascii(value)) this.#at += this.#buffer.write(value, this.#at);
  }

  /** Begins something whose length comes before it. @returns what `endLength` is to be told */
  beginLength(): number {
    this.#ensure(LENGTH_BYTES);
    this.#at += LENGTH_BYTES;
    return this.#at;
  }

  endLength(begin: number): void {
    const end = this.#at;
    this.#at = begin - LENGTH_BYTES;
    this.#put32(end - begin);
    this.#at = end;
  }

  written(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  /** Whether it was; what is not ASCII is left to whoever knows UTF-8. */
  #ascii(value: string): boolean {
    const [buffer, at] = [this.#buffer, this.#at];
    for (let index = 0; index < value.length; index++) {
      const unit = value.charCodeAt(index);
      if (unit > 127) return false;
      buffer[at + index] = unit;
    }
    this.#at = at + value.length;
    return true;
  }

  #put32(value: number): void {
    const [buffer, at] = [this.#buffer, this.#at];
    buffer[at] = value >> 24;
    buffer[at + 1] = value >> 16;
    buffer[at + 2] = value >> 8;
    buffer[at + 3] = value;
    this.#at = at + 4;
  }

  #ensure(more: number): void {
    if (this.#at + more <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(2 * (this.#at + more));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}
