import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { Context } from "./context.ts";
import { CliError, ExitCode, usageError } from "./errors.ts";
import { printable } from "./output/printable.ts";

/**
 * Reads a secret from the first line of standard input, with the echo of a terminal turned off.
 *
 * @throws CliError usage if standard input is empty; NOT_CONFIRMED on Ctrl-C and Ctrl-D
 */
export async function readSecret({ stdin, output }: Context, name: string): Promise<string> {
  const isTerminal = stdin.isTTY === true;
  const lines = createInterface(
    isTerminal ? { input: stdin, output: createSink(), terminal: true, historySize: 0 } : { input: stdin },
  );
  // The prompt is printed after the echo is off, so that a paste after it is not shown.
  if (isTerminal) output.note(`Paste ${name} and press Enter (it is not shown):`);
  try {
    for await (const line of lines) return line.trim();
  } finally {
    lines.close();
    if (isTerminal) output.note("");
  }
  if (!isTerminal) throw usageError(`standard input is empty; ${name} was expected there`);
  throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was saved");
}

function createSink(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}

/**
 * Asks for confirmation before a deletion or an unbinding, which cannot be undone. Skipped with `--yes`. `keys revoke` never asks, because
 * it may have to stop a leak.
 *
 * @throws CliError usage, naming the loss, without a terminal or under `--json`; NOT_CONFIRMED if the answer is not yes
 */
export async function confirmLoss(context: Context, question: string, loss: string): Promise<void> {
  if (!canAsk(context)) throw usageError(`${loss} Without a terminal to confirm on, add --yes`);
  if (await confirm(context, question)) return;
  throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was changed");
}

/** Asks for confirmation on a terminal. True without one, and under `--json`. */
export async function confirm(context: Context, question: string): Promise<boolean> {
  if (!canAsk(context)) return true;
  const { stdin, stderr } = context;
  const prompt = createInterface({ input: stdin, output: stderr });
  try {
    return /^y(es)?$/i.test((await prompt.question(`${printable(question)} [y/N] `)).trim());
  } catch {
    // Ctrl-C and Ctrl-D count as no.
    stderr.write("\n");
    return false;
  } finally {
    prompt.close();
  }
}

/** True if there is a person to ask: a terminal, and not under `--json`. */
export function canAsk({ stdin, stderr, output }: Context): boolean {
  return !output.json && stdin.isTTY === true && stderr.isTTY === true;
}
