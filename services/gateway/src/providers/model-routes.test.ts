import { describe, expect, it } from "vitest";
import { faultOf, loadProvidersText } from "../../test/load-providers-text.ts";
import { createModelDirectory } from "../domain/request/model-directory.ts";

/** Two providers: `big` and `small` of `here` on lines 6 and 9, with these lines below, and `other` of `there`. */
const fileWith = (big: readonly string[], small: readonly string[] = []): string =>
  [
    "providers:",
    "  - name: here",
    "    protocol: openai",
    "    base_url: http://127.0.0.1:1/v1",
    "    models:",
    "      - id: big",
    ...big.map((line) => `        ${line}`),
    "      - id: small",
    ...small.map((line) => `        ${line}`),
    "      - id: vectors",
    "        wires: [embeddings]",
    "  - name: there",
    "    protocol: anthropic",
    "    base_url: http://127.0.0.1:2/v1",
    "    models: [{id: other, aliases: [claude]}, {id: big}]",
  ].join("\n");

const modelsOf = (text: string, more = {}) => loadProvidersText(text, more).flatMap(({ models }) => models);
const find = (text: string, name: string) => createModelDirectory(modelsOf(text)).find(name);

describe("the fallback of a model", () => {
  it("names models of any provider, also by an alias, and is kept in order by their full names", () => {
    const text = fileWith(["fallback: [small, CLAUDE, there/big]", "retries: 2"]);
    expect(find(text, "big")).toMatchObject({ fallback: ["here/small", "there/other", "there/big"], retries: 2 });
    expect(find(text, "small")).toMatchObject({ fallback: undefined, retries: undefined });
  });

  it("of a provider holds for its models that it can serve, and a model may cancel it", () => {
    const text = fileWith([], ["fallback: []"]).replace(
      "    models:\n",
      "    fallback: [here/big, claude]\n    retries: 1\n    models:\n",
    );
    expect(modelsOf(text).map(({ id, fallback, retries }) => [id, fallback, retries])).toEqual([
      ["big", ["there/other"], 1],
      ["small", undefined, 1],
      ["vectors", undefined, 1],
      ["other", undefined, undefined],
      ["big", undefined, undefined],
    ]);
  });

  it("may be a model that a key in the environment switches on", () => {
    const text = fileWith(["fallback: [gpt-4o-mini]"]);
    const [big] = modelsOf(text, { openAiApiKey: "sk-of-openai" });
    expect(big?.fallback).toEqual(["openai/gpt-4o-mini"]);
    expect(faultOf(text).message).toContain('fallback[0]: there is no model "gpt-4o-mini"');
  });

  it.each<[string, readonly string[], readonly string[], number, RegExp]>([
    ["an unknown model", ["fallback: [nobody]"], [], 7, /models\[0\]\.fallback\[0\]: there is no model "nobody"/],
    [
      "the model itself",
      ["fallback:", "  - small", "  - here/big"],
      [],
      9,
      /falls back in a loop: here\/big -> here\/big/,
    ],
    [
      "a loop over another model",
      ["fallback: [small]"],
      ["fallback: [big]"],
      9,
      /loop: here\/big -> here\/small -> here\/big/,
    ],
    ["a model twice", ["fallback: [small, here/small]"], [], 7, /fallback\[1\]: "here\/small" is given twice/],
    ["a model of embeddings", ["fallback: [vectors]"], [], 7, /one of the two makes embeddings only/],
    ["too many models", [`fallback: [${"small, ".repeat(11)}]`], [], 7, /fallback: must have at most 10 items/],
    ["no list", ["fallback: small"], [], 7, /fallback: must be a list/],
    ["too many attempts", ["retries: 6"], [], 7, /retries: must be a whole number from 0 to 5/],
  ])("that is %s is refused by line and field", (_, big, small, line, message) => {
    expect(faultOf(fileWith(big, small))).toEqual({ line, message: expect.stringMatching(message) as string });
  });

  it("is searched for loops to the end of a chain", () => {
    const chain = Array.from({ length: 200 }, (_, index) => `      - {id: m${index}, fallback: [m${index + 1}]}`);
    const text = fileWith([]).replace(
      "      - id: vectors",
      [...chain, "      - id: m200", "      - id: vectors"].join("\n"),
    );
    expect(find(text, "m199")?.fallback).toEqual(["here/m200"]);
    expect(faultOf(text.replace("- id: m200", "- {id: m200, fallback: [m199]}")).message).toMatch(
      /falls back in a loop: here\/m199 -> here\/m200 -> here\/m199$/,
    );
  });
});

describe("the deployments of a model", () => {
  it("are itself, with its weight, and the others with theirs", () => {
    const lines = [
      "weight: 3",
      "deployments:",
      "  - {provider: there, model: big, weight: 2}",
      "  - {provider: here, model: small}",
    ];
    expect(find(fileWith(lines), "big")?.deployments).toEqual([
      { provider: "here", id: "big", weight: 3 },
      { provider: "there", id: "big", weight: 2 },
      { provider: "here", id: "small", weight: 1 },
    ]);
    expect(find(fileWith(lines), "there/big")?.deployments).toBeUndefined();
  });

  it.each<[string, string, RegExp]>([
    [
      "an unknown model",
      "deployments: [{provider: there, model: small}]",
      /deployments\[0\]: there is no model "there\/small"/,
    ],
    ["an alias", "deployments: [{provider: there, model: claude}]", /there is no model/],
    ["the model itself", "deployments: [{provider: here, model: big}]", /is the model itself/],
    ["without a provider", "deployments: [{model: small}]", /deployments\[0\]\.provider: is required/],
    [
      "of no weight",
      "deployments: [{provider: here, model: small, weight: 0}]",
      /weight: must be a whole number from 1/,
    ],
    ["of another kind", "deployments: [{provider: here, model: vectors}]", /makes embeddings only/],
    ["a weight alone", "weight: 2", /weight: needs deployments/],
  ])("that are %s are refused by line and field", (_, line, message) => {
    expect(faultOf(fileWith([line]))).toEqual({ line: 7, message: expect.stringMatching(message) as string });
  });
});

describe("the aliases of a model", () => {
  it("name it, in place of a model of the catalogue too, which keeps its full name", () => {
    const text = fileWith(["aliases: [gpt-4o, Default]"]);
    const directory = createModelDirectory(modelsOf(text, { openAiApiKey: "sk-of-openai" }));
    for (const name of ["gpt-4o", " default"])
      expect(directory.find(name)).toMatchObject({ provider: "here", id: "big" });
    expect(directory.find("openai/gpt-4o")).toMatchObject({ provider: "openai" });
  });

  it.each<[string, string, RegExp]>([
    ["another model of the file", "aliases: [a, small]", /aliases\[1\]: "small" is here\/small/],
    ["the full name of a model", "aliases: [there/other]", /"there\/other" is there\/other/],
    ["another model's alias", "aliases: [a]", /"A" is here\/big/],
  ])("that are %s are refused by line and field", (_, line, message) => {
    const other = fileWith([line], ["aliases: [A]"]);
    expect(faultOf(other).message).toMatch(message);
    expect(faultOf(other).line).toBe(line === "aliases: [a]" ? 9 : 7);
  });
});
