import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Packages of Debian for `offeredIn`. */
export const SHELL_PROGRAMS = { find: "command -v fish && command -v zsh", packages: ["fish", "zsh"] };

/** Home of a shell, with its completion script, and with `routeplane` and `npx` in its PATH. */
export interface ShellHome {
  readonly script: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Words that a shell offers at the end of a line, and the line as it is after the Tab key. */
export interface Offer {
  readonly words: readonly string[];
  /** Undefined for fish, which runs without a terminal here. */
  readonly line?: string | undefined;
}

/** Completes a line as fish would. */
export async function offeredInFish({ script, folder, env }: ShellHome, line: string): Promise<Offer> {
  const file = join(folder, "routeplane.fish");
  await writeFile(file, script);
  const command = 'source $argv[1]; complete -C "$argv[2]"';
  const { stdout, stderr } = await run("fish", ["--no-config", "-c", command, file, line], { env, cwd: folder });
  // Each word is followed by a tab and its description, if it has one.
  const words = stdout.split("\n").flatMap((text) => text.split("\t")[0] || []);
  return { words: stderr === "" ? words : [stderr] };
}

/** Types a line and a Tab into a zsh with a terminal of its own. */
export async function offeredInZsh({ script, folder, env }: ShellHome, line: string): Promise<Offer> {
  const home = join(folder, "zsh");
  const [completion, offered] = [join(folder, "routeplane.zsh"), join(folder, "offered")];
  await mkdir(home, { recursive: true });
  await writeFile(completion, script);
  await writeFile(offered, "");
  await writeFile(join(home, ".zshrc"), ZSHRC);
  const variables = { ...env, ZDOTDIR: home, COMPLETION: completion, OFFERED: offered };
  await run("zsh", ["-f", "-c", TYPE, "zsh", line], { env: variables, cwd: folder, timeout: 60_000 });
  const lines = (await readFile(offered, "utf8")).split("\n").slice(0, -1);
  return { words: lines.slice(0, -1).filter((word) => word !== ""), line: lines.at(-1) };
}

/** Script that starts an interactive zsh, types its first argument and a Tab once the prompt is shown, and reads until the shell ends. */
const TYPE = `zmodload zsh/zpty
zpty shell zsh -i
zpty -r shell screen '*READY*'
zpty -n -w shell "$1"$'\\t'
while zpty -r shell screen; do :; done`;

/** Script that prints the words that completion adds, then the line, and ends the shell. */
const ZSHRC = `PS1=READY
source "$COMPLETION"
compadd() {
  local -a words
  builtin compadd -O words "$@"
  print -rl -- $words >> "$OFFERED"
  builtin compadd "$@"
}
complete-and-exit() {
  zle complete-word
  print -r -- "$BUFFER" >> "$OFFERED"
  BUFFER=exit
  zle accept-line
}
zle -N complete-and-exit
bindkey '^I' complete-and-exit
`;
