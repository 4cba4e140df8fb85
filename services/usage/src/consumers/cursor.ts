/** What is read is not in the plain form that gateways write: somebody slower and wiser is to read it. */
export class IrregularError extends Error {
  override readonly name = "IrregularError";
}

/** Bits of a varint's byte, and how many bytes of one a number holds without loss. */
const BITS = 128;
const EXACT_BYTES = 7;
const MAX_BYTES = 10;
/** The first byte of a byte order mark, which a decoder of text leaves out. */
const MARK = 0xef;

/** Values of the protobuf wire format, one after the other. Every method throws IrregularError at the end of the bytes. */
export class Cursor {
  readonly #bytes: Buffer;
  at = 0;

  constructor(payload: Uint8Array) {
    this.#bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  }

  /** A number of a field and how it is written, or a length. */
  uint(): number {
    let [value, scale] = [0, 1];
    for (let count = 0; count < EXACT_BYTES; count++) {
      const byte = this.#byte();
      value += (byte % BITS) * scale;
      if (byte < BITS) return value;
      scale *= BITS;
    }
    throw new IrregularError();
  }

  boolean(): boolean {
    const value = this.uint();
    if (value > 1) throw new IrregularError();
    return value === 1;
  }

  int32(): number {
    return Number(BigInt.asIntN(32, this.int64()));
  }

  int64(): bigint {
    const from = this.at;
    let [value, scale] = [0, 1];
    for (let count = 0; count < EXACT_BYTES; count++) {
      const byte = this.#byte();
      value += (byte % BITS) * scale;
      if (byte < BITS) return BigInt(value);
      scale *= BITS;
    }
    this.at = from;
    return this.#long();
  }

  /** Where the next value, which says its length, ends. */
  end(): number {
    const length = this.uint();
    if (this.at + length > this.#bytes.length) throw new IrregularError();
    return this.at + length;
  }

  text(): string {
    const [end, from] = [this.end(), this.at];
    this.at = end;
    if (end === from) return "";
    if (this.#bytes[from] === MARK) throw new IrregularError();
    const text = this.#bytes.toString("utf8", from, end);
    // In place of what is no UTF-8, which is refused.
    if (text.includes("\ufffd")) throw new IrregularError();
    return text;
  }

  /** Negative, or beyond what a number holds. */
  #long(): bigint {
    let value = 0n;
    for (let count = 0; count < MAX_BYTES; count++) {
      const byte = this.#byte();
      value += BigInt(byte % BITS) << BigInt(7 * count);
      if (byte < BITS) return BigInt.asIntN(64, value);
    }
    throw new IrregularError();
  }

  #byte(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new IrregularError();
    return byte;
  }
}
