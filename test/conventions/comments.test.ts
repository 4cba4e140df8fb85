import { describe, expect, it } from "vitest";
import { findRiddles, findSynonyms } from "./comments.ts";

describe("findRiddles", () => {
  it("reports a doc comment that opens with a riddle word, with its line and what to write instead", () => {
    const text = "Whether it is good.";
    const source = `const a = 1;\n\n/** ${text} */\nexport const b = 2;\n`;
    expect(findRiddles("a.ts", source)).toEqual([
      { line: 3, text, advice: "write 'True if …', or the noun of the state" },
    ]);
  });

  it.each(["What", "Who", "Of", "Since", "Those", "Not", "By"])("reports %s, on one line or on several", (word) => {
    expect(findRiddles("a.ts", `/** ${word} is first. */\nlet a;`)).toHaveLength(1);
    expect(findRiddles("a.ts", `interface A {\n  /**\n   * ${word} is first.\n   */\n  a: 1;\n}`)).toHaveLength(1);
    expect(findRiddles("a.ts", `f(/** ${word} is first. */ a);`)).toHaveLength(1);
  });

  it("accepts comments that name the thing first, and words that only begin like a riddle word", () => {
    const texts = [
      "Upstreams, keyed by name.",
      "Called when it changes.",
      "Tokens in use.",
      "Format of a record.",
      "@throws X",
    ];
    for (const text of texts) expect(findRiddles("a.ts", `/** ${text} */\nlet a;`)).toEqual([]);
  });

  it("ignores plain comments and globs", () => {
    expect(findRiddles("a.ts", '// What is so.\n/* Who */\nconst a = ["services/** {Of}", "**/*.ts"];')).toEqual([]);
  });

  it.each([
    ["message Key {", "a message"],
    ["rpc Get(A) returns (B);", "an rpc"],
    ["repeated string names = 1;", "a field"],
    ["map<string, string> labels = 3;", "a map"],
    ["KIND_BUDGET = 2;", "an enum value"],
    ["oneof principal {", "a oneof"],
  ])("reports the comment of `%s`, which is %s of a contract", (declaration) => {
    const source = `syntax = "proto3";\n\n// Which it is.\n// More.\n${declaration}\n`;
    expect(findRiddles("a.proto", source)).toMatchObject([{ line: 3, text: "Which it is." }]);
  });

  it("ignores comments of a contract that precede no declaration, and later lines of those that do", () => {
    const source =
      '// What this file is.\nsyntax = "proto3";\n\n// A key\n// of a namespace.\nmessage Key {}\n\n// Who.\n\nmessage A {}';
    expect(findRiddles("a.proto", source)).toEqual([]);
  });
});

describe("findSynonyms", () => {
  it("reports a declared name that uses a word which the glossary replaces", () => {
    const source = "const a = 1;\nexport async function payDebts() {}\nclass RedactionTally {}\nconst UNPAID_MAX = 3;";
    expect(findSynonyms("a.ts", source)).toMatchObject([
      { line: 2, text: "payDebts", advice: "the glossary says 'pending settlements', not 'debts'" },
      { line: 3, text: "RedactionTally" },
      { line: 4, text: "UNPAID_MAX" },
    ]);
  });

  it("accepts other names, uses of names and texts", () => {
    const source = 'const debtor = "debt";\nconst indebted = tally(heed);\n// const debt\n';
    expect(findSynonyms("a.ts", source)).toEqual([]);
  });
});
