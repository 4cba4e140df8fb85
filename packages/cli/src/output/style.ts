import { styleText } from "node:util";
import { formatCount } from "./money.ts";

/** Appearance of text on a stream. */
export interface Style {
  /** Dims text. No effect if the stream is not a terminal, or NO_COLOR is set. */
  readonly dim: (text: string) => string;
  /** Colours text red, under the same conditions. */
  readonly red: (text: string) => string;
  /** Width of the terminal; infinite if the stream is not one, and for wide tables. */
  readonly columns: number;
  /** True to show the columns that are only in wide tables. */
  readonly wide: boolean;
  /** Formats a count: with thousands separators, but not for a pipe. */
  readonly count: (count: number | bigint) => string;
}

export function styleFor(
  stream: NodeJS.WritableStream & { readonly columns?: number; readonly isTTY?: boolean },
  wide = false,
): Style {
  return {
    dim: (text) => styleText("dim", text, { stream }),
    red: (text) => styleText("red", text, { stream }),
    columns: wide ? Infinity : stream.columns || Infinity,
    wide,
    count: stream.isTTY === true ? formatCount : String,
  };
}
