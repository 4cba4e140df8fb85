import { styleText } from "node:util";

/** Appearance of text on a stream. */
export interface Style {
  /** Dims text. Without effect if the stream is not a terminal, and under NO_COLOR. */
  readonly dim: (text: string) => string;
  /** Reddens text, under the same conditions. */
  readonly red: (text: string) => string;
  /** Width of the terminal; infinite if the stream is not one. */
  readonly columns: number;
}

export function styleFor(stream: NodeJS.WritableStream & { readonly columns?: number }): Style {
  return {
    dim: (text) => styleText("dim", text, { stream }),
    red: (text) => styleText("red", text, { stream }),
    columns: stream.columns || Infinity,
  };
}
