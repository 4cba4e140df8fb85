/** Reads paths, links and names out of Markdown, to compare them with the checkout. */

/** Folders and files that a path from the root of the repository begins with. */
const ROOTS = "packages|services|proto|test|deploy|docs|scripts|examples|\\.github|\\.ci|\\.vscode";
/** Folders that a path from a package's or service's own folder begins with. */
const OWN_ROOTS = "src|migrations|bin";

const SPAN = /`([^`\n]+)`/g;
const PATH = new RegExp(`^(?:(?:${ROOTS}|${OWN_ROOTS})/[\\w@.*{},/-]*|[\\w-]+(?:\\.[\\w-]+)*\\.(?:ts|md|proto|yaml))$`);

const ARGUMENT = new RegExp(`^(?:${ROOTS})/[\\w@./-]*$`);

/** Reference to something inside a file: `path#name`. */
export interface SymbolReference {
  readonly path: string;
  readonly symbol: string;
}

/** @returns paths in code spans, outside of fenced blocks; placeholders (`<name>`, `NNNN`) and symbols are left out */
export function pathsOf(markdown: string): string[] {
  return spansOf(markdown)
    .map((span) => span.split("#", 1)[0] ?? "")
    .filter((span) => PATH.test(span) && !/NNNN|-x\.ts/.test(span));
}

/** @returns code spans of the form `path#name` */
export function symbolsOf(markdown: string): SymbolReference[] {
  return spansOf(markdown).flatMap((span) => {
    const { groups } = /^(?<path>[\w@./-]+)#(?<symbol>[\w.]+)$/.exec(span) ?? {};
    const { path, symbol } = groups ?? {};
    return path === undefined || symbol === undefined ? [] : [{ path, symbol }];
  });
}

/** @returns targets of links that are not on the web */
export function linksOf(markdown: string): string[] {
  const targets = [...withoutBlocks(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(({ 1: target = "" }) => target);
  return targets.filter((target) => !/^(?:https?|mailto):/.test(target));
}

/** @returns anchors of the headings, as GitHub makes them */
export function anchorsOf(markdown: string): Set<string> {
  const headings = withoutBlocks(markdown).matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(({ 1: heading = "" }) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .replaceAll(/\s/g, "-"),
    ),
  );
}

/** @returns arguments of commands, in code spans and shell blocks, that are paths from the root of the repository */
export function argumentPathsOf(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/^```sh\n(.*?)^```/gms)].map(({ 1: block = "" }) => block);
  const lines = [...blocks.flatMap((block) => block.split("\n")), ...spansOf(markdown)];
  const commands = lines.filter((line) => /^(?:npm|npx|node) /.test(line));
  return commands.flatMap((command) => command.split(/\s+/)).filter((argument) => ARGUMENT.test(argument));
}

/** @returns the paths that a path with braces stands for, e.g. `a/{b,c}` */
export function expandBraces(path: string): string[] {
  const match = /\{([^{}]*)\}/.exec(path);
  if (match === null) return [path];
  const { 0: braces, 1: names = "", index } = match;
  return names
    .split(",")
    .flatMap((name) => expandBraces(path.slice(0, index) + name + path.slice(index + braces.length)));
}

function spansOf(markdown: string): string[] {
  return [...withoutBlocks(markdown).matchAll(SPAN)].map(({ 1: span = "" }) => span);
}

function withoutBlocks(markdown: string): string {
  return markdown.replaceAll(/^( *)```.*?^\1```/gms, "");
}
