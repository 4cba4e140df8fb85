import { Work } from "@routeplane/guardrails";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyEdits } from "./json-edits.ts";
import { type JsonText, jsonTexts, OTHER_PLACE } from "./json-texts.ts";

async function texts(json: string, opaque?: ReadonlySet<string>) {
  return (await found(json, opaque)).filter(({ kind }) => kind === "string" || kind === "whole");
}

async function found(json: string, opaque?: ReadonlySet<string>) {
  const all: (Omit<JsonText, "path"> & { readonly path: readonly (string | number)[] })[] = [];
  for (const text of jsonTexts(json, new Work(), opaque)) {
    if (text !== undefined) all.push({ ...text, path: text.path() });
  }
  return all;
}

/** Strings of a parsed value with their paths, found by walking it. */
function stringsIn(value: unknown, path: readonly (string | number)[] = []): [readonly (string | number)[], string][] {
  if (typeof value === "string") return [[path, value]];
  if (typeof value !== "object" || value === null) return [];
  const entries = Array.isArray(value) ? value.map((each, index) => [index, each] as const) : Object.entries(value);
  return entries.flatMap(([step, each]) => stringsIn(each, [...path, step]));
}

describe("the texts of a JSON document", () => {
  it("are all its string values, each with its position", async () => {
    await fc.assert(
      fc.asyncProperty(fc.json({ stringUnit: "binary" }), fc.boolean(), async (compact, pretty) => {
        const json = pretty ? JSON.stringify(JSON.parse(compact), null, 2) : compact;
        const parsed: unknown = JSON.parse(json);
        const strings = (await texts(json)).map(({ path, start, end }) => [
          path,
          JSON.parse(json.slice(start, end)) as unknown,
        ]);
        // JSON.parse reorders members whose names are numbers, and omits "__proto__".
        const inOrder = (all: readonly unknown[]) => all.map((each) => JSON.stringify(each)).toSorted();
        expect(inOrder(strings)).toEqual(inOrder(stringsIn(parsed)));
      }),
    );
  });

  it("include the names of members and the numbers, with their positions", async () => {
    const json = '{"a":[1,{"b\\u0021":-2.5e3}],"c":null,"d":"x"}';
    const all = (await found(json)).map(({ kind, place, start, end }) => [kind, place, json.slice(start, end)]);
    expect(all).toEqual([
      ["name", "a", '"a"'],
      ["number", "a[]", "1"],
      ["name", "a[].b!", '"b\\u0021"'],
      ["number", "a[].b!", "-2.5e3"],
      ["name", "c", '"c"'],
      ["name", "d", '"d"'],
      ["string", "d", '"x"'],
    ]);
  });

  it("include those of duplicate members", async () => {
    expect((await texts('{"a":"one","a":"two","b":[{"a":"three"}]}')).map(({ place }) => place)).toEqual([
      "a",
      "a",
      "b[].a",
    ]);
  });

  it("do not include those within opaque places", async () => {
    const json = '{"a":[{"logprobs":{"x":["y","}"]},"t":"z"},{"logprobs":null}]}';
    const wanted = await texts(json, new Set(["a[].logprobs"]));
    expect(wanted.map(({ place, kind, start, end }) => [place, kind, json.slice(start, end)])).toEqual([
      ["a[].logprobs", "whole", '{"x":["y","}"]}'],
      ["a[].t", "string", '"z"'],
    ]);
  });
});

describe("the place of a text", () => {
  it("does not grow with the names around it, so that none of 20,000 texts costs more for them", async () => {
    const strings = Array.from({ length: 20_000 }, () => "x");
    for (const deep of [{ ["n".repeat(1_000_000)]: { list: strings } }, { a: { ["n".repeat(201)]: [strings] } }]) {
      const places = (await texts(JSON.stringify({ ...deep, b: "y" }))).map(({ place }) => place);
      expect(new Set(places)).toEqual(new Set([OTHER_PLACE, "b"]));
    }
  });
});

describe("the search for texts", () => {
  it("is charged for the characters and the texts that it reads, and stops once its signal is aborted", async () => {
    const controller = new AbortController();
    class CountedWork extends Work {
      steps = 0;
      override spend(steps: number): void {
        super.spend(steps);
        this.steps += steps;
      }
    }
    const walk = async (json: string, signal?: AbortSignal) => {
      const work = new CountedWork(undefined, signal);
      for (const text of jsonTexts(json, work)) if (text === undefined) await work.pause();
      return work.steps;
    };
    expect(await walk(`[${'"",'.repeat(20_000)}""]`)).toBeGreaterThan(1_000_000);
    expect(await walk(`[${" ".repeat(10_000_000)}]`)).toBeGreaterThan(1_000_000);
    controller.abort(new Error("gone"));
    await expect(walk(`[${" ".repeat(10_000_000)}]`, controller.signal)).rejects.toThrow("gone");
  });
});

describe("applyEdits", () => {
  it("changes the edited literals, and no other byte", async () => {
    const json = '{ "n":12345678901234567890, "a":"x" , "b":["y\\u0041"]}';
    const edits = (await texts(json))
      .filter(({ place }) => place === "a")
      .map(({ start, end }) => ({ start, end, literal: '"new"' }));
    expect(applyEdits(json, edits)).toBe('{ "n":12345678901234567890, "a":"new" , "b":["y\\u0041"]}');
  });
});
