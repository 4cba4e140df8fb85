/** Finds doc comments that open with a riddle word, and declared names that use a word which the glossary replaces. */

export interface Finding {
  /** First line of the comment or of the declaration, from 1. */
  readonly line: number;
  /** Text that breaks the convention. */
  readonly text: string;
  /** Advice on what to write instead. */
  readonly advice: string;
}

/** Opening words that delay the subject of a comment, by the advice that corrects them. */
const OPENINGS: readonly (readonly [words: string, advice: string])[] = [
  ["Whether", "write 'True if …', or the noun of the state"],
  [
    "What Who Whom Whose Whoever Whatever Whichever Which Why How Where When While Until Since That Those These This There It Its",
    "name the thing first: a noun phrase ('Upper bounds of …'), or a verb in the third person ('Returns …', 'Called when …')",
  ],
  [
    "Of As By From In To With Without Within Before After For On At Over",
    "write the noun that the preposition belongs to ('Upstreams, keyed by name'), or a number ('One or more …')",
  ],
  [
    "So Such Nothing Told If Also And Or But Not",
    "start with the thing or its effect, then the condition or the exception",
  ],
];
const ADVICE = new Map(OPENINGS.flatMap(([words, advice]) => words.split(" ").map((word) => [word, advice])));

/** Words that no declared name may contain, by the glossary's word. */
const SYNONYMS: Readonly<Record<string, string>> = {
  ballast: "reserved disk space",
  debt: "pending settlement",
  debts: "pending settlements",
  doubted: "stale",
  follower: "subscription",
  followers: "subscriptions",
  heed: "credential listener",
  leftover: "orphaned process",
  leftovers: "orphaned processes",
  owed: "pending settlement",
  paid: "completed",
  parcel: "event batch",
  tally: "totals or counter",
  unpaid: "pending settlement",
};

/** @returns doc comments whose first word is a riddle word, in TypeScript, JavaScript or a .proto file */
export function findRiddles(path: string, source: string): Finding[] {
  const comments = path.endsWith(".proto") ? protoComments(source) : docComments(source);
  return comments.flatMap(({ line, text }) => {
    const advice = ADVICE.get(/^[A-Za-z]+/.exec(text)?.[0] ?? "");
    return advice === undefined ? [] : [{ line, text, advice }];
  });
}

/** @returns declared names with a word that the glossary replaces, in TypeScript or JavaScript */
export function findSynonyms(path: string, source: string): Finding[] {
  if (path.endsWith(".proto")) return [];
  const declarations = source.matchAll(
    /^[ \t]*(?:export |default |async |private |static |abstract )*(?:const|let|function|class|interface|type|readonly) ([A-Za-z_$][\w$]*)/gm,
  );
  return [...declarations].flatMap(({ 1: name = "", index }) => {
    const word = wordsOf(name).find((each) => Object.hasOwn(SYNONYMS, each));
    if (word === undefined) return [];
    const advice = `the glossary says '${SYNONYMS[word]}', not '${word}'`;
    return [{ line: lineAt(source, index), text: name, advice }];
  });
}

interface Comment {
  readonly line: number;
  /** First line of the text, without the comment's marks. */
  readonly text: string;
}

/** Comments that begin with two asterisks, where a declaration, a parameter or a file can have one. */
function docComments(source: string): Comment[] {
  return [...source.matchAll(/(?<=^|[\s(,{[])\/\*\*\s+(?:\* )?([^\n]*)/g)].map(({ 1: text = "", index }) => ({
    line: lineAt(source, index),
    text: text.replace(/\s*\*\/.*$/, ""),
  }));
}

/** Comments directly before a message, service, rpc, oneof, enum, field or enum value. */
function protoComments(source: string): Comment[] {
  const lines = source.split("\n").map((line) => line.trim());
  return lines.flatMap((text, index) => {
    const isFirst = text.startsWith("//") && lines[index - 1]?.startsWith("//") !== true;
    if (!isFirst) return [];
    const declaration = lines.slice(index).find((line) => !line.startsWith("//")) ?? "";
    const isDeclaration =
      /^(message|service|rpc|oneof|enum|extend) |^[\w.<>, ]+ = \d+/.test(declaration) && declaration !== "";
    return isDeclaration ? [{ line: index + 1, text: text.replace(/^\/+\s*/, "") }] : [];
  });
}

/** Lower-case words of a name in camelCase, PascalCase or CONSTANT_CASE. */
function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[_$]+/);
}

function lineAt(source: string, index: number): number {
  return source.slice(0, index).split("\n").length;
}
