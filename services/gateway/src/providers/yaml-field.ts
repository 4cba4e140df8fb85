import { ConfigurationError } from "@routeplane/runtime";
import { isMap, isScalar, isSeq, type LineCounter, type Node } from "yaml";

/** Fault in the providers file, with file, line, field and advice. The message never repeats a secret. */
export class ProvidersFileError extends ConfigurationError {
  constructor(file: string, line: number, message: string) {
    super(`${file}:${line}: ${message}`);
  }
}

/** Value at a position in the file. Every method that reads throws a ProvidersFileError that names line and field. */
export interface Field {
  /** Requires that the value is a map without other members than these. */
  onlyMembers(names: readonly string[]): void;
  /** Returns a member of the map. */
  required(name: string): Field;
  /** Returns a member of the map; undefined if it is absent. */
  optional(name: string): Field | undefined;
  /** Reads a list. */
  items(): readonly Field[];
  /** Reads a string. @param rule the demand of `pattern`, in words */
  text(pattern: RegExp, rule: string): string;
  /** Reads a number within bounds, both included. */
  number(min: number, max: number): number;
  /** Reads a whole number within bounds, both included. */
  integer(min: number, max: number): number;
  /** Reads true or false. */
  boolean(): boolean;
  /** Reads one of these words. */
  oneOf<T extends string>(words: readonly T[]): T;
  /** Reads a text, number or switch, as it is written in the file. @param rule the demand of `pattern`, in words */
  written(pattern: RegExp, rule: string): string;
  /** True if the value is a map. */
  isMap(): boolean;
  /** Reads a map with any names. */
  entries(): readonly { readonly name: string; readonly field: Field }[];
  /** Makes the error for a fault of this value. */
  fault(message: string): ProvidersFileError;
}

interface SourceFile {
  readonly path: string;
  readonly lines: LineCounter;
}

export function rootField(file: string, lines: LineCounter, contents: unknown): Field {
  return createField({ path: file, lines }, "", contents as Node | null, 1);
}

function createField(source: SourceFile, path: string, node: Node | null, parentLine: number): Field {
  const line = node?.range ? source.lines.linePos(node.range[0]).line : parentLine;
  const faultAt = (atLine: number, name: string, message: string): ProvidersFileError =>
    new ProvidersFileError(source.path, atLine, name === "" ? message : `${name}: ${message}`);
  const fault = (message: string): ProvidersFileError => faultAt(line, path, message);
  const member = (name: string): string => (path === "" ? name : `${path}.${name}`);
  const pairs = () => {
    if (!isMap<Node, Node | null>(node)) throw fault("must be a map of fields");
    return node.items.map(({ key, value }) => ({ name: isScalar(key) ? String(key.value) : "?", key, value }));
  };
  const optional = (name: string): Field | undefined => {
    const pair = pairs().find((pair) => pair.name === name);
    return pair && createField(source, member(name), pair.value, lineOf(source, pair.key, line));
  };
  const scalar = (): unknown => (isScalar(node) ? node.value : undefined);
  const number = (min: number, max: number, kind = "a number"): number => {
    const value = scalar();
    const isOfKind = kind === "a number" || Number.isInteger(value);
    if (typeof value === "number" && isOfKind && value >= min && value <= max) return value;
    throw fault(`must be ${kind} from ${min} to ${max}`);
  };
  return {
    fault,
    optional,
    onlyMembers(names) {
      const unknown = pairs().find(({ name }) => !names.includes(name));
      if (unknown === undefined) return;
      throw faultAt(
        lineOf(source, unknown.key, line),
        member(unknown.name.slice(0, 60)),
        `unknown field; known here: ${names.join(", ")}`,
      );
    },
    required(name) {
      const field = optional(name);
      if (field === undefined) throw faultAt(line, member(name), "is required");
      return field;
    },
    items() {
      if (!isSeq<Node>(node)) throw fault("must be a list");
      return node.items.map((item, index) => createField(source, `${path}[${index}]`, item, line));
    },
    text(pattern, rule) {
      const value = scalar();
      if (typeof value !== "string" || !pattern.test(value)) throw fault(`must be a text: ${rule}`);
      return value;
    },
    number: (min, max) => number(min, max),
    integer: (min, max) => number(min, max, "a whole number"),
    boolean() {
      const value = scalar();
      if (typeof value !== "boolean") throw fault("must be true or false");
      return value;
    },
    oneOf<T extends string>(words: readonly T[]) {
      const value = scalar();
      const word = words.find((known) => known === value);
      if (word === undefined) throw fault(`must be ${words.join(" or ")}`);
      return word;
    },
    written(pattern, rule) {
      const value = scalar();
      const text = typeof value === "string" ? value : isScalar(node) && value !== null ? node.source : undefined;
      if (text === undefined || !pattern.test(text)) throw fault(`must be a text: ${rule}`);
      return text;
    },
    isMap: () => isMap(node),
    entries: () =>
      pairs().map(({ name, key, value }) => ({
        name,
        field: createField(source, member(name.slice(0, 60)), value, lineOf(source, key, line)),
      })),
  };
}

function lineOf({ lines }: SourceFile, node: Node, otherwise: number): number {
  return node.range ? lines.linePos(node.range[0]).line : otherwise;
}
