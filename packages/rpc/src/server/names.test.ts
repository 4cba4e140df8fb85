import { create, type DescField, type DescMessage, getOption } from "@bufbuild/protobuf";
import { fieldRules } from "@routeplane/contracts/validate";
import { nameFault } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { publishedServices } from "../access.ts";
import { validator } from "./validate.ts";

const RULE = "must not be blank or hold control characters";

/** Messages of requests, at any depth. */
function messagesIn(message: DescMessage, seen = new Set<DescMessage>()): Set<DescMessage> {
  if (seen.has(message)) return seen;
  seen.add(message);
  for (const { message: inner } of message.fields) if (inner !== undefined) messagesIn(inner, seen);
  return seen;
}

const inputs = Object.values(publishedServices())
  .flat()
  .flatMap((service) => service.methods.map(({ input }) => input));
const messages = [...inputs.reduce((seen, input) => messagesIn(input, seen), new Set<DescMessage>())];
const names = messages.flatMap((message) =>
  message.fields
    .filter((field) => getOption(field, fieldRules).cel.some((rule) => rule.message === RULE))
    .map((field) => [`${message.name}.${field.name}`, message, field] as const),
);

const CANDIDATES = Array.from(
  "a #\u00e9\u6f22\u{1F600}\u00AD\u034F\u061C\u115F\u1160\u17B4\u180E\u200B\u200D\u202E\u2060\u2066\u2800\u3000\u3164\uFE0F\uFEFF" +
    "\uFFA0\uFFFC\u{1D159}\u{E0041}\u{E0101}\u0301\u0007\u0085",
).concat(["a\u200B", "\u3164\u200B \u2800", "e\u0301", "a\nb"]);

describe("a name in a request", () => {
  const isRefused = (message: DescMessage, field: DescField, name: string): boolean => {
    const result = validator.validate(message, create(message, { [field.localName]: name }));
    return (
      result.kind === "invalid" &&
      result.violations.some(({ field: path, message: text }) => text === RULE && path[0] === field)
    );
  };

  it("is in every message that names a key, an operator, a policy or a pattern", () => {
    expect(names.length).toBeGreaterThanOrEqual(15);
  });

  it.each(names)("is blank by the same rule everywhere: %s", (_, message, field) => {
    for (const name of CANDIDATES)
      expect([name, isRefused(message, field, name)]).toEqual([name, nameFault(name) !== undefined]);
  });
});

it("and an identifier are the only texts matched against a pattern: on others the platform could take long", () => {
  const rules = messages.flatMap(({ fields }) => fields.map((field) => getOption(field, fieldRules)));
  const rulesOfTexts = rules.flatMap(({ type }) => (type.case === "string" ? [type.value.pattern] : []));
  expect(rulesOfTexts.filter((pattern) => pattern !== "")).toEqual([]);
  const expressions = rules.flatMap(({ cel }) => cel.map(({ expression }) => expression));
  const patterns = new Set(expressions.filter((expression) => expression.includes("matches(")));
  expect([...patterns].toSorted()).toEqual([
    expect.stringMatching(/^this\.matches\('\^\[\^\\\\p\{Cc\}\]\*/),
    "this.matches('^[a-z][a-z0-9-]{0,62}$')",
  ]);
});
