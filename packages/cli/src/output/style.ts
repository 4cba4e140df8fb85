import { styleText } from "node:util";

/** Colours for a stream. Without effect if it is not a terminal, and under NO_COLOR. */
export interface Style {
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
}

export function styleFor(stream: NodeJS.WritableStream): Style {
  return {
    dim: (text) => styleText("dim", text, { stream }),
    red: (text) => styleText("red", text, { stream }),
  };
}
