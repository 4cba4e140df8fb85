import { styleText } from "node:util";
import { formatCount } from "./money.ts";

/** Appearance of text on a stream. */
export interface Style {
  /** Dims text. Without effect if the stream is not a terminal, and under NO_COLOR. */
  readonly dim: (text: string) => string;
  /** Reddens text, under the same conditions. */
  readonly red: (text: string) => string;
  /** Width of the terminal; infinite if the stream is not one, and for wide tables. */
  readonly columns: number;
  /** True to show the columns that only wide tables have. */
  readonly wide: boolean;
  /** Count with thousands separators, which a pipe does not get. */
  readonly count: (count: number) => string;
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
