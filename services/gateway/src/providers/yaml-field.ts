import { ConfigurationError } from "@routeplane/runtime";
import { isMap, isScalar, isSeq, type LineCounter, type Node } from "yaml";

/** A fault in the providers file: where it is and what to do. Never repeats a secret. */
export class ProvidersFileError extends ConfigurationError {
  constructor(file: string, line: number, message: string) {
    super(`${file}:${line}: ${message}`);
  }
}

/** A place in the file, with what may be read there. Every reader throws a ProvidersFileError that names line and field. */
export interface Field {
  /** The members of a map must be among these. */
  onlyMembers(names: readonly string[]): void;
  required(name: string): Field;
  optional(name: string): Field | undefined;
  items(): readonly Field[];
  /** @param rule what `pattern` demands, in words */
  text(pattern: RegExp, rule: string): string;
  /** A finite number within bounds, both included. */
  number(min: number, max: number): number;
  fault(message: string): ProvidersFileError;
}

interface Place {
  readonly file: string;
  readonly lines: LineCounter;
}

export function rootField(file: string, lines: LineCounter, contents: unknown): Field {
  return createField({ file, lines }, "", contents as Node | null, 1);
}

function createField(place: Place, path: string, node: Node | null, parentLine: number): Field {
  const line = node?.range ? place.lines.linePos(node.range[0]).line : parentLine;
  const faultAt = (at: number, name: string, message: string): ProvidersFileError =>
    new ProvidersFileError(place.file, at, name === "" ? message : `${name}: ${message}`);
  const fault = (message: string): ProvidersFileError => faultAt(line, path, message);
  const member = (name: string): string => (path === "" ? name : `${path}.${name}`);
  const pairs = () => {
    if (!isMap<Node, Node | null>(node)) throw fault("must be a map of fields");
    return node.items.map(({ key, value }) => ({ name: isScalar(key) ? String(key.value) : "?", key, value }));
  };
  const optional = (name: string): Field | undefined => {
    const pair = pairs().find((each) => each.name === name);
    return pair && createField(place, member(name), pair.value, lineOf(place, pair.key, line));
  };
  const scalar = (): unknown => (isScalar(node) ? node.value : undefined);
  return {
    fault,
    optional,
    onlyMembers(names) {
      const unknown = pairs().find(({ name }) => !names.includes(name));
      if (unknown === undefined) return;
      throw faultAt(
        lineOf(place, unknown.key, line),
        member(unknown.name.slice(0, 60)),
        `unknown field; known here: ${names.join(", ")}`,
      );
    },
    required(name) {
      const found = optional(name);
      if (found === undefined) throw faultAt(line, member(name), "is required");
      return found;
    },
    items() {
      if (!isSeq<Node>(node)) throw fault("must be a list");
      return node.items.map((item, index) => createField(place, `${path}[${index}]`, item, line));
    },
    text(pattern, rule) {
      const value = scalar();
      if (typeof value !== "string" || !pattern.test(value)) throw fault(`must be a text: ${rule}`);
      return value;
    },
    number(min, max) {
      const value = scalar();
      if (typeof value !== "number" || !(value >= min && value <= max)) {
        throw fault(`must be a number from ${min} to ${max}`);
      }
      return value;
    },
  };
}

function lineOf({ lines }: Place, node: Node, otherwise: number): number {
  return node.range ? lines.linePos(node.range[0]).line : otherwise;
}
