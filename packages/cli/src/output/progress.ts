import type { Context } from "../context.ts";

/** Time after which a command with many calls shows its progress. */
const SHOWN_AFTER_MS = 2_000;

/** Line of stderr that counts the rows that a command has read. */
export interface Progress {
  show(count: number): void;
  /** Removes the line, before something else is printed to the terminal. */
  clear(): void;
}

/**
 * Starts the progress of a command. It is shown after 2 s if stderr is a terminal, unless the rows are printed to a terminal as they are
 * read.
 *
 * @param isCollected true if nothing is printed before all rows are read
 */
export function startProgress(
  { stdout, stderr }: Pick<Context, "stdout" | "stderr">,
  noun: string,
  isCollected = false,
): Progress {
  if (stderr.isTTY !== true || (stdout.isTTY === true && !isCollected)) return { show() {}, clear() {} };
  const shownFrom = performance.now() + SHOWN_AFTER_MS;
  let width = 0;
  return {
    show(count) {
      if (performance.now() < shownFrom) return;
      const text = `${count} ${noun}`;
      width = Math.max(width, text.length);
      stderr.write(`\r${text}\r`);
    },
    clear() {
      if (width > 0) stderr.write(`\r${" ".repeat(width)}\r`);
    },
  };
}
