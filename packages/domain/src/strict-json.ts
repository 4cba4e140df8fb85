/**
 * Makes the error for a fault in JSON.
 *
 * @param path from the root, e.g. `spec.content_patterns[2].name`
 * @param rule what the value at the path must be, e.g. `must be a list`
 */
export type JsonFault = (path: string, rule: string) => Error;

/**
 * A value within JSON, with its path. Each method reads it as one type, strictly: a value of another type, a member that is not
 * known or a number out of bounds throws the error that `fault` makes. An absent member is a `StrictJson` of undefined, which
 * only `optional` accepts.
 *
 * ```ts
 * const { name, ports } = new StrictJson(JSON.parse(text), "server", fault).object("server", ["name", "ports"]);
 * return { name: name.text(), ports: ports.optional((json) => json.list((port) => port.positiveInteger(65_535))) };
 * ```
 */
export class StrictJson {
  readonly path: string;
  readonly #value: unknown;
  readonly #fault: JsonFault;

  constructor(value: unknown, path: string, fault: JsonFault) {
    this.#value = value;
    this.path = path;
    this.#fault = fault;
  }

  /**
   * Members of an object, which may have no others.
   *
   * @param kind noun for the object in the rule of a fault, e.g. `budget`
   */
  object<Name extends string>(kind: string, names: readonly Name[]): Readonly<Record<Name, StrictJson>> {
    const value = this.#value;
    const allowed = `a ${kind} has ${names.join(", ")}`;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.fault(`must be an object: ${allowed}`);
    }
    const members = new Map(Object.entries(value));
    const known = new Set<string>(names);
    const unknown = [...members.keys()].find((name) => !known.has(name));
    if (unknown !== undefined) throw this.#at(unknown).fault(`is not known: ${allowed}`);
    const entries = names.map((name) => [name, this.#at(name, members.get(name))]);
    return Object.fromEntries(entries) as Record<Name, StrictJson>;
  }

  /** Result of `read`; undefined if the value is absent. */
  optional<T>(read: (json: StrictJson) => T): T | undefined {
    return this.#value === undefined ? undefined : read(this);
  }

  list<T>(read: (item: StrictJson) => T): readonly T[] {
    if (!Array.isArray(this.#value)) throw this.fault("must be a list");
    return this.#value.map((item: unknown, index) => read(new StrictJson(item, `${this.path}[${index}]`, this.#fault)));
  }

  text(): string {
    if (typeof this.#value !== "string") throw this.fault("must be a text");
    return this.#value;
  }

  boolean(): boolean {
    if (typeof this.#value !== "boolean") throw this.fault("must be true or false");
    return this.#value;
  }

  /** Whole number >= 1. */
  positiveInteger(max: number): number {
    const value = this.#value;
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw this.fault(`must be a whole number from 1 to ${max}`);
  }

  oneOf<Word extends string>(words: readonly Word[]): Word {
    const word = words.find((known) => known === this.#value);
    if (word === undefined) throw this.fault(`must be one of ${words.join(", ")}`);
    return word;
  }

  /** Error for this value, to be thrown by a reader with a rule of its own. */
  fault(rule: string): Error {
    return this.#fault(this.path, rule);
  }

  #at(name: string, value?: unknown): StrictJson {
    return new StrictJson(value, `${this.path}.${name}`, this.#fault);
  }
}
