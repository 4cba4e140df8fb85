import { BinaryEncoder } from "./binary-encoder.ts";

/** What a value of each type is here. */
interface Values {
  readonly text: string;
  readonly boolean: boolean;
  readonly integer: number;
  readonly bigint: bigint;
  readonly timestamptz: Date;
  /** As JSON. */
  readonly jsonb: object;
}

export type ColumnType = keyof Values;
export type ValueOf<Type extends ColumnType> = Values[Type] | null;

interface Codec<Value> {
  /** Of an element, in pg_type. */
  readonly oid: number;
  /** What an element is likely to take, with its length. */
  readonly bytes: number;
  readonly write: (to: BinaryEncoder, value: Value) => void;
}

/** From then on a timestamptz counts microseconds. */
const EPOCH_MS = Date.UTC(2000, 0, 1);
const JSONB_VERSION = 1;

const CODECS: { readonly [Type in ColumnType]: Codec<Values[Type]> } = {
  text: { oid: 25, bytes: 36, write: (to, value) => to.text(value) },
  boolean: { oid: 16, bytes: 5, write: (to, value) => to.byte(value ? 1 : 0) },
  integer: { oid: 23, bytes: 8, write: (to, value) => to.int32(value) },
  bigint: { oid: 20, bytes: 12, write: (to, value) => to.int64(value) },
  timestamptz: { oid: 1184, bytes: 12, write: (to, value) => to.int64((value.getTime() - EPOCH_MS) * 1_000) },
  jsonb: {
    oid: 3802,
    bytes: 7,
    write: (to, value) => {
      to.byte(JSONB_VERSION);
      to.text(JSON.stringify(value));
    },
  },
};

const HEADER_BYTES = 20;
const NO_VALUE = -1;

/**
 * An array of one dimension as Postgres itself sends and takes it (`array_recv`). Of a batch of rows this costs this process
 * 2 us a row and Postgres 3.5 us; the text that the driver makes of arrays costs 6.5 us and 5 us.
 */
export function encodeArray<Type extends ColumnType>(type: Type, values: readonly ValueOf<Type>[]): Buffer {
  const { oid, bytes, write } = CODECS[type];
  const to = new BinaryEncoder(HEADER_BYTES + values.length * bytes);
  writeHeader(to, oid, values);
  for (const value of values) {
    if (value === null) {
      to.int32(NO_VALUE);
      continue;
    }
    const begin = to.beginLength();
    write(to, value);
    to.endLength(begin);
  }
  return to.written();
}

function writeHeader(to: BinaryEncoder, oid: number, values: readonly unknown[]): void {
  to.int32(values.length === 0 ? 0 : 1);
  to.int32(values.includes(null) ? 1 : 0);
  to.int32(oid);
  if (values.length === 0) return;
  to.int32(values.length);
  to.int32(1);
}
