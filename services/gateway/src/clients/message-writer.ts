const INITIAL_BYTES = 4 * 1024;
/** Longest varint: of 64 bits. */
const MAX_VARINT_BYTES = 10;
/** UTF-8 bytes of one UTF-16 unit. */
const MAX_UNIT_BYTES = 3;
const MAX_SAFE_INTEGER = BigInt(Number.MAX_SAFE_INTEGER);
/** Length up to which a text is written character by character. */
const MAX_LOOPED_CHARS = 64;
const VARINT = 0;
const LENGTH_DELIMITED = 2;

/**
 * Writer of one protobuf message after another, in its binary form, into bytes that are allocated once. Fields are written in the order of
 * their numbers, as the library writes them. The `write…` methods omit the values that proto3 omits: zero, false and empty text.
 */
export class MessageWriter {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #end = 0;

  /** Returns a copy of the message, and begins the next one. */
  finish(): Buffer {
    const message = Buffer.allocUnsafe(this.#end);
    this.#bytes.copy(message, 0, 0, this.#end);
    this.#end = 0;
    return message;
  }

  /** Begins the next message, whether or not the last one was finished. */
  begin(): void {
    this.#end = 0;
  }

  writeText(field: number, text: string): void {
    if (text === "") return;
    const { length } = text;
    this.#reserve(2 * MAX_VARINT_BYTES + length * MAX_UNIT_BYTES);
    const start = this.#beginBytes(field, length);
    if (length > MAX_LOOPED_CHARS || !this.#writeAscii(text, start)) this.#end += this.#bytes.write(text, start);
    this.#endBytes(start, length);
  }

  /** Writes a short text without a call out of JavaScript: seven ids take 0.37 us in place of 0.50. @returns false, with nothing written, unless it is ASCII */
  #writeAscii(text: string, start: number): boolean {
    const bytes = this.#bytes;
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) return false;
      bytes[start + index] = unit;
    }
    this.#end += text.length;
    return true;
  }

  writeFlag(field: number, value: boolean): void {
    if (value) this.#integer(field, 1);
  }

  /** @throws RangeError if it is not an int32 */
  writeInt32(field: number, value: number): void {
    if (value !== 0) this.#int32(field, value);
  }

  /** Writes a field with presence: also 0. @throws RangeError as `writeInt32` */
  writeOptionalInt32(field: number, value: number | undefined): void {
    if (value !== undefined) this.#int32(field, value);
  }

  /** Writes an int64, uint32 or enum. @throws RangeError if it is not a safe integer */
  writeInteger(field: number, value: number): void {
    if (value !== 0) this.#integer(field, value);
  }

  /** Writes a field with presence: also 0. @throws RangeError as `writeInteger` */
  writeOptionalInteger(field: number, value: number | undefined): void {
    if (value !== undefined) this.#integer(field, value);
  }

  /** Writes an int64. @throws RangeError if it has more than 64 bits */
  writeAmount(field: number, value: bigint): void {
    if (value !== 0n) this.#amount(field, value);
  }

  /** Writes a field with presence: also 0. @throws RangeError as `writeAmount` */
  writeOptionalAmount(field: number, value: bigint | undefined): void {
    if (value !== undefined) this.#amount(field, value);
  }

  /** Writes a google.protobuf.Timestamp. @throws RangeError if the date is invalid */
  writeTime(field: number, time: Date | undefined): void {
    if (time === undefined) return;
    const milliseconds = time.getTime();
    const seconds = Math.floor(milliseconds / 1_000);
    const start = this.beginMessage(field);
    this.writeInteger(1, seconds);
    this.writeInteger(2, (milliseconds - seconds * 1_000) * 1_000_000);
    this.endMessage(start);
  }

  /** Begins a message in a field, also one that stays empty. @returns its start, for `endMessage` */
  beginMessage(field: number): number {
    this.#reserve(2 * MAX_VARINT_BYTES);
    return this.#beginBytes(field, 0);
  }

  endMessage(start: number): void {
    this.#endBytes(start, 0);
  }

  /** Writes what comes before bytes of about `length`. @returns the start of the bytes */
  #beginBytes(field: number, length: number): number {
    this.#varint((field << 3) | LENGTH_DELIMITED);
    this.#end += sizeOfVarint(length);
    return this.#end;
  }

  /** Writes the length of the bytes from `start`, which are moved if it takes more room than that of `expected`. */
  #endBytes(start: number, expected: number): void {
    const length = this.#end - start;
    const [room, needed] = [sizeOfVarint(expected), sizeOfVarint(length)];
    if (needed > room) {
      this.#reserve(needed - room);
      this.#bytes.copyWithin(start + needed - room, start, this.#end);
    }
    this.#end = start - room;
    this.#varint(length);
    this.#end += length;
  }

  #int32(field: number, value: number): void {
    if ((value | 0) !== value) throw new RangeError(`${value} is not an int32`);
    this.#integer(field, value);
  }

  #integer(field: number, value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a safe integer`);
    if (value < 0) return this.#amount(field, BigInt(value));
    this.#reserve(2 * MAX_VARINT_BYTES);
    this.#varint((field << 3) | VARINT);
    this.#varint(value);
  }

  #amount(field: number, value: bigint): void {
    if (value >= 0n && value <= MAX_SAFE_INTEGER) return this.#integer(field, Number(value));
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} has more than 64 bits`);
    this.#reserve(2 * MAX_VARINT_BYTES);
    this.#varint((field << 3) | VARINT);
    let rest = BigInt.asUintN(64, value);
    for (; rest > 0x7fn; rest >>= 7n) this.#bytes[this.#end++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#end++] = Number(rest);
  }

  /** Writes a safe integer >= 0. */
  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7fff_ffff) {
      this.#bytes[this.#end++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    for (; rest > 0x7f; rest >>>= 7) this.#bytes[this.#end++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#end++] = rest;
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * needed);
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}

function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) size++;
  return size;
}
