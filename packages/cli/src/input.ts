import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { Context } from "./context.ts";
import { CliError, ExitCode, usageError } from "./errors.ts";
import { printable } from "./output/printable.ts";

/**
 * Reads a secret from the first line of standard input. A terminal does not show what is typed; Ctrl-C and Ctrl-D leave it as
 * it was.
 *
 * @throws CliError if there is no line
 */
export async function readSecret({ stdin, output }: Context, what: string): Promise<string> {
  const isTerminal = stdin.isTTY === true;
  const lines = createInterface(
    isTerminal ? { input: stdin, output: createSink(), terminal: true, historySize: 0 } : { input: stdin },
  );
  // After the echo is off: what is pasted as soon as this shows must not show.
  if (isTerminal) output.note(`Paste ${what} and press Enter (it is not shown):`);
  try {
    for await (const line of lines) return line.trim();
  } finally {
    lines.close();
    if (isTerminal) output.note("");
  }
  if (!isTerminal) throw usageError(`standard input is empty; ${what} was expected there`);
  throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was saved");
}

function createSink(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}

/**
 * Asks a person before something is lost for good: called by every command that deletes or unbinds, unless `--yes` is given.
 * `keys revoke` does not: it is the answer to a leak.
 *
 * @throws CliError usage, with the loss, where nobody can be asked (no terminal, or JSON is wanted)
 */
export async function confirmLoss(context: Context, question: string, loss: string): Promise<void> {
  if (!canAsk(context)) throw usageError(`${loss} Say --yes where nobody can be asked`);
  if (await confirm(context, question)) return;
  throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was changed");
}

/** Asks a person; whoever is not at a terminal, or wants JSON, is not asked and meant what they typed. */
export async function confirm(context: Context, question: string): Promise<boolean> {
  if (!canAsk(context)) return true;
  const { stdin, stderr } = context;
  const prompt = createInterface({ input: stdin, output: stderr });
  try {
    return /^y(es)?$/i.test((await prompt.question(`${printable(question)} [y/N] `)).trim());
  } catch {
    // Ctrl-C and Ctrl-D: whoever leaves did not say yes.
    stderr.write("\n");
    return false;
  } finally {
    prompt.close();
  }
}

function canAsk({ stdin, stderr, output }: Context): boolean {
  return !output.json && stdin.isTTY === true && stderr.isTTY === true;
}
