import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { CHECKOUT } from "@routeplane/standalone";
import { describe, expect, it } from "vitest";
import {
  anchorsOf,
  argumentPathsOf,
  expandBraces,
  linksOf,
  pathsOf,
  type SymbolReference,
  symbolsOf,
} from "./documents.ts";

/** Documents against the checkout: paths, links, names and commands that they mention exist. */

const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: CHECKOUT })
  .toString()
  .split("\0")
  .filter((path) => path !== "");
const basenames = new Set(files.map((path) => basename(path)));
const documents = files.filter((path) => /\.md$|llms\.txt$/.test(path)).map((path) => ({ path, text: read(path) }));

describe("documents", () => {
  it("mention only paths that exist, from the root of the repository or from their own folder", () => {
    const isKnown = (path: string, mentioned: string) =>
      exists(mentioned) || exists(join(dirname(path), mentioned)) || isFileName(mentioned);
    expect(
      faultsOf((path, text) =>
        pathsOf(text)
          .flatMap(expandBraces)
          .filter((each) => !isKnown(path, each)),
      ),
    ).toEqual([]);
  });

  it("name only constants, functions and types that the file has", () => {
    const isKnown = ({ path, symbol }: SymbolReference) =>
      exists(path) && new RegExp(`\\b${symbol}\\b`).test(read(path));
    const missing = faultsOf((_, text) =>
      symbolsOf(text)
        .filter((each) => !isKnown(each))
        .map(({ path, symbol }) => `${path}#${symbol}`),
    );
    expect(missing).toEqual([]);
  });

  it("link only to files and headings that exist", () => {
    const isKnown = (path: string, link: string) => {
      const [target = "", anchor] = link.split("#");
      const linked = target === "" ? path : normalize(join(dirname(path), target));
      return exists(linked) && (anchor === undefined || anchorsOf(read(linked)).has(anchor));
    };
    expect(faultsOf((path, text) => linksOf(text).filter((link) => !isKnown(path, link)))).toEqual([]);
  });

  it("name only npm scripts that package.json has", () => {
    const { scripts } = JSON.parse(read("package.json"));
    const scriptsOf = (text: string) =>
      [...text.matchAll(/\bnpm run (?:-s )?([a-z][a-z:-]*)/g)].map(({ 1: name = "" }) => name);
    expect(faultsOf((_, text) => scriptsOf(text).filter((name) => !Object.hasOwn(scripts, name)))).toEqual([]);
  });
});

describe("docs/adr", () => {
  const records = documents.filter(({ path }) => /^docs\/adr\/\d{4}-[a-z\d-]+\.md$/.test(path));
  const index = read("docs/adr/README.md");

  it("numbers each decision once and lists it with its title and status", () => {
    const numbers = records.map(({ path }) => basename(path).slice(0, 4));
    expect(numbers).toEqual([...new Set(numbers)]);
    for (const { path, text } of records) {
      const { number, title } = /^# (?<number>\d{4})\. (?<title>.+)$/m.exec(text)?.groups ?? {};
      const { status } = /^Status: (?<status>.+)$/m.exec(text)?.groups ?? {};
      expect(basename(path).startsWith(`${number}-`)).toBe(true);
      const row = index.split("\n").find((line) => line.includes(`(${basename(path)})`)) ?? "";
      expect(
        row
          .split("|")
          .map((cell) => cell.trim())
          .slice(1, -1),
      ).toEqual([`[${number}](${basename(path)})`, title, status]);
    }
  });

  it("gives each decision a context, the decision, consequences and places", () => {
    const headingsOf = (text: string) => [...text.matchAll(/^## (\w+)/gm)].map(({ 1: heading }) => heading);
    for (const { path, text } of records) {
      expect(headingsOf(text), path).toEqual(["Context", "Decision", "Consequences", "Where"]);
    }
  });
});

describe("reading documents", () => {
  it("finds paths, expands braces and ignores placeholders and blocks", () => {
    const text =
      "`packages/{a,b}/x.ts` `services/<name>/y` `docs/adr/NNNN-t.md` `keys` `ring.ts`\n\n```sh\n`test/no`\n```\n";
    expect(pathsOf(text).flatMap(expandBraces)).toEqual(["packages/a/x.ts", "packages/b/x.ts", "ring.ts"]);
  });

  it("finds names in files, links, anchors and arguments of commands", () => {
    expect(symbolsOf("`packages/a.ts#MAX_A`")).toEqual([{ path: "packages/a.ts", symbol: "MAX_A" }]);
    expect(linksOf("[a](b.md#c) [d](https://example.com)")).toEqual(["b.md#c"]);
    expect([...anchorsOf("# To add one: `x`!\n")]).toEqual(["to-add-one-x"]);
    expect(
      argumentPathsOf("`npm test -- services/auth -t x`\n\n```sh\nnpm run bench test/bench/a.ts # b/c\n```\n"),
    ).toEqual(["test/bench/a.ts", "services/auth"]);
  });
});

/** @returns the faults of all documents, each with the path of its document */
function faultsOf(find: (path: string, text: string) => readonly string[]): string[] {
  return documents.flatMap(({ path, text }) => find(path, text).map((fault) => `${path}: ${fault}`));
}

function read(path: string): string {
  return readFileSync(join(CHECKOUT, path), "utf8");
}

/** True for a file or folder of the repository, or a glob that matches one. */
function exists(path: string): boolean {
  const clean = normalize(path).replace(/\/$/, "");
  if (clean.includes("*")) return globSync(clean, { cwd: CHECKOUT }).length > 0;
  return files.some((file) => file === clean || file.startsWith(`${clean}/`));
}

function isFileName(path: string): boolean {
  return !path.includes("/") && basenames.has(path);
}
