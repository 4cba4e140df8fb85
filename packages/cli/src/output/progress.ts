import type { Context } from "../context.ts";

/** Time after which a command that takes many calls shows its progress. */
const SHOWN_AFTER_MS = 2_000;

/** Line of stderr that counts what a command has read. */
export interface Progress {
  show(count: number): void;
  /** Removes the line, before something else is printed there. */
  clear(): void;
}

/**
 * Starts the progress of a command. It is shown from 2 s on, if stderr is a terminal, and the rows themselves are not shown there as they
 * are read.
 *
 * @param isCollected true if nothing is printed before all is read
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
