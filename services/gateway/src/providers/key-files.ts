import { ConfigurationError, readSecretFile, SecretFault, type SecretFiles } from "@routeplane/runtime";

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Keys and other secrets of providers that are in files, of their own or in place of a variable. They are read at each load of the
 * providers, and watched from then on.
 */
export class KeyFiles {
  readonly #variables: Variables;
  readonly #files: SecretFiles;
  readonly #watched = new Set<string>();
  #listener = (): void => {};

  constructor(variables: Variables, files: SecretFiles) {
    this.#variables = variables;
    this.#files = files;
  }

  /** Calls `listener` whenever a file that was read has other content. Replaces the listener before it. */
  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  /** Calls the listener. */
  changed(): void {
    this.#listener();
  }

  /** Reads a file. @throws SecretFault */
  read(path: string): string {
    const text = readSecretFile(path);
    if (!this.#watched.has(path)) {
      this.#watched.add(path);
      this.#files.open([path], ([content]) => content).onChange(() => this.changed());
    }
    return text;
  }

  /** Returns a variable, or the content of the file that the variable with `_FILE` names. @throws ConfigurationError */
  variable(name: string): string | undefined {
    const [value, path] = [this.#variables[name], this.#variables[`${name}_FILE`]?.trim()];
    if (!path) return value;
    if (value?.trim()) throw new ConfigurationError(`${name}: is set, and ${name}_FILE too: set one of them`);
    try {
      return this.read(path);
    } catch (error) {
      if (error instanceof SecretFault) throw new ConfigurationError(`${name}_FILE: ${error.message}`);
      throw error;
    }
  }
}
