/** Upper bound of the UTF-8 bytes for one code unit of a string. */
const MAX_BYTES_OF_UNIT = 3;
const LENGTH_BYTES = 4;
const TWO_32 = 2 ** 32;
/** Length up to which a text is written unit by unit, which takes half the time of a call into the runtime. */
const SHORT_TEXT_LENGTH = 64;

/**
 * Encoder of values into a growing buffer, in big-endian order. Numbers are written byte by byte: one more BigInt for each number took
 * twice the time.
 */
export class BinaryEncoder {
  #buffer: Buffer;
  #position = 0;

  constructor(expectedBytes: number) {
    this.#buffer = Buffer.allocUnsafe(expectedBytes);
  }

  byte(value: number): void {
    this.#ensure(1);
    this.#buffer[this.#position++] = value;
  }

  int16(value: number): void {
    this.#ensure(2);
    this.#buffer[this.#position++] = value >> 8;
    this.#buffer[this.#position++] = value;
  }

  int32(value: number): void {
    this.#ensure(4);
    this.#put32(value);
  }

  /** @param value a number must be a safe integer */
  int64(value: number | bigint): void {
    this.#ensure(8);
    if (typeof value === "bigint") {
      const number = Number(value);
      if (!Number.isSafeInteger(number)) {
        this.#position = this.#buffer.writeBigInt64BE(value, this.#position);
        return;
      }
      value = number;
    }
    this.#put32(Math.floor(value / TWO_32));
    this.#put32(value);
  }

  text(value: string): void {
    this.#ensure(value.length * MAX_BYTES_OF_UNIT);
    if (value.length > SHORT_TEXT_LENGTH || !this.#writeAscii(value))
      this.#position += this.#buffer.write(value, this.#position);
  }

  /** Reserves the length before a value. @returns the start of the value, for `endLength` */
  beginLength(): number {
    this.#ensure(LENGTH_BYTES);
    this.#position += LENGTH_BYTES;
    return this.#position;
  }

  endLength(begin: number): void {
    const end = this.#position;
    this.#position = begin - LENGTH_BYTES;
    this.#put32(end - begin);
    this.#position = end;
  }

  written(): Buffer {
    return this.#buffer.subarray(0, this.#position);
  }

  /** Writes a text of ASCII. @returns false, with nothing written, if it is not ASCII */
  #writeAscii(value: string): boolean {
    const [buffer, start] = [this.#buffer, this.#position];
    for (let index = 0; index < value.length; index++) {
      const unit = value.charCodeAt(index);
      if (unit > 127) return false;
      buffer[start + index] = unit;
    }
    this.#position = start + value.length;
    return true;
  }

  #put32(value: number): void {
    const [buffer, start] = [this.#buffer, this.#position];
    buffer[start] = value >> 24;
    buffer[start + 1] = value >> 16;
    buffer[start + 2] = value >> 8;
    buffer[start + 3] = value;
    this.#position = start + 4;
  }

  #ensure(more: number): void {
    if (this.#position + more <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(2 * (this.#position + more));
    this.#buffer.copy(grown, 0, 0, this.#position);
    this.#buffer = grown;
  }
}
