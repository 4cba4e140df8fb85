import { PassThrough } from "node:stream";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { readSettings } from "./config.ts";
import { loadAllCommands } from "./lazy-commands.ts";
import { modeOf } from "./output/mode.ts";
import { createOutput } from "./output/output.ts";
import { createProgram } from "./program.ts";

const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
const unused = () => {
  throw new Error("help needs no node");
};
const program = createProgram({
  argv: [],
  settings: readSettings({}),
  output: createOutput(() => modeOf(undefined), stdout, stderr),
  stdin,
  stdout,
  stderr,
  url: unused,
  connect: unused,
  capture: unused,
  changeSettings: unused,
  setExitCode: unused,
});

await loadAllCommands(program);

const MAX_COLUMNS = 60;
/** Verbs that descriptions of commands start with. */
const VERBS = (
  "Administer Bind Change Check Compare Control Create Delete Disable Discard Edit Enable Explain Export List " +
  "Manage Mint Open Print Read Remove Rename Replace Replay Restore Resume Revoke Run Show Simulate Serve Suspend Switch"
).split(" ");

interface HelpText {
  /** Command line up to the term, e.g. `routeplane cloud keys mint --name <name>`. */
  readonly term: string;
  readonly text: string;
}

/** Commands of the tree from `command` down, each with the path to it. */
function commandsBelow(command: Command, above = ""): readonly (readonly [path: string, command: Command])[] {
  const path = `${above} ${command.name()}`.trim();
  return [[path, command], ...command.commands.flatMap((child) => commandsBelow(child, path))];
}

const commands = commandsBelow(program);
const descriptions: readonly HelpText[] = commands.flatMap(([path, command]) => {
  const help = command.createHelp();
  const children = help.visibleCommands(command);
  return [
    ...(command === program ? [{ term: path, text: command.description() }] : []),
    ...children.map((child) => ({ term: `${path} ${child.name()}`, text: help.subcommandDescription(child) })),
  ];
});
const terms: readonly HelpText[] = commands.flatMap(([path, command]) => {
  const help = command.createHelp();
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  return [
    ...command.registeredArguments.map((argument) => ({
      term: `${path} <${argument.name()}>`,
      text: argument.description,
    })),
    ...options.map((option) => ({ term: `${path} ${option.flags}`, text: option.description })),
  ];
});

/** Terms with a text that breaks a rule, each with the text. */
function termsThatBreak(texts: readonly HelpText[], isKept: (text: string) => boolean): readonly string[] {
  return texts.filter(({ text }) => !isKept(text)).map(({ term, text }) => `${term}: ${text}`);
}

describe("the help of every command, argument and option", () => {
  const all = [...descriptions, ...terms];

  it("is there, in sentence case and without a full stop", () => {
    expect(termsThatBreak(all, (text) => /^[A-Z].*[^.\s]$/.test(text))).toEqual([]);
  });

  it("takes at most 60 columns", () => {
    expect(termsThatBreak(all, (text) => text.length <= MAX_COLUMNS)).toEqual([]);
  });

  it("starts with a verb where it describes a command", () => {
    const startsWithVerb = (text: string): boolean => VERBS.some((verb) => text.startsWith(`${verb} `));
    expect(termsThatBreak(descriptions, startsWithVerb)).toEqual([]);
  });

  it("is part of every command that can be run, with examples of it", async () => {
    const withoutExamples = commands.filter(([path, command]) => {
      let shown = "";
      command.configureOutput({ writeOut: (text) => (shown += text) });
      command.outputHelp();
      return command.commands.length === 0 && !shown.includes(`$ ${path}`);
    });
    expect(withoutExamples.map(([path]) => path)).toEqual([]);
  });
});
