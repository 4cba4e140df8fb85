import { ConfigurationError, readSecretFile, SecretFault, type SecretFiles, type Watched } from "@routeplane/runtime";

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Keys and other secrets of providers that are in files, of their own or in place of a variable. They are read at each load of the
 * providers, and watched from then on.
 */
export class KeyFiles {
  readonly #variables: Variables;
  readonly #files: SecretFiles;
  /** Secrets of the files that are watched, by path. */
  readonly #watched = new Map<string, Watched<string>>();
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

  /**
   * Reads a file. A file that was read before and cannot be read now keeps its former secret: otherwise a key of another provider could not
   * be replaced meanwhile.
   *
   * @param name name of the secret in the log
   * @throws SecretFault
   */
  read(path: string, name = "api_key_file"): string {
    const watched = this.#watched.get(path);
    try {
      const text = readSecretFile(path);
      if (watched === undefined) {
        const opened = this.#files.open([{ name, path }], ([content = ""]) => content);
        opened.onChange(() => this.changed());
        this.#watched.set(path, opened);
      }
      return text;
    } catch (error) {
      if (error instanceof SecretFault && watched !== undefined) return watched.current;
      throw error;
    }
  }

  /** Returns a variable, or the content of the file that the variable with `_FILE` names. @throws ConfigurationError */
  variable(name: string): string | undefined {
    const [value, path] = [this.#variables[name], this.#variables[`${name}_FILE`]?.trim()];
    if (!path) return value;
    if (value?.trim()) throw new ConfigurationError(`${name}: is set, and ${name}_FILE too: set one of them`);
    try {
      return this.read(path, name);
    } catch (error) {
      if (error instanceof SecretFault) throw new ConfigurationError(`${name}_FILE: ${error.message}`);
      throw error;
    }
  }
}
