import { styleText } from "node:util";

/** Colours for a stream: only if it is a terminal, and not under NO_COLOR (node's `styleText` reads both). */
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
