import { createInterface } from "node:readline/promises";
import type { Context } from "./context.ts";
import { CliError, ExitCode, usageError } from "./errors.ts";
import { printable } from "./output/printable.ts";

/** The first line of standard input, e.g. a key that must not show in the process list. */
export async function readLine({ stdin, output }: Context, what: string): Promise<string> {
  if (stdin.isTTY) output.note(`Paste ${what} and press Enter:`);
  const lines = createInterface({ input: stdin });
  try {
    for await (const line of lines) return line.trim();
    throw usageError(`standard input is empty; ${what} was expected there`);
  } finally {
    lines.close();
  }
}

/** Asks before something is deleted. Whoever cannot be asked must have said `--yes`, and else is told the loss. */
export async function confirmDeletion(context: Context, question: string, yes: boolean, loss: string): Promise<void> {
  if (yes) return;
  if (!canAsk(context)) throw usageError(`${loss} Say --yes where nobody can be asked`);
  if (await confirm(context, question)) return;
  throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was deleted");
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
