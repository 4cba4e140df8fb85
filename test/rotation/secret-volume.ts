import { randomBytes } from "node:crypto";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Folder of secrets as Kubernetes mounts it: each name leads through `..data`, a link that is replaced for all names at once. */
export class SecretVolume {
  readonly #folder: string;
  #values: Readonly<Record<string, string>> = {};
  #revision = 0;
  #setting: Promise<void> = Promise.resolve();

  constructor(folder: string) {
    this.#folder = folder;
  }

  get values(): Readonly<Record<string, string>> {
    return this.#values;
  }

  path(name: string): string {
    return join(this.#folder, name);
  }

  /** Replaces the values of these names, and creates those that are missing. Calls run one at a time. */
  set(changes: Readonly<Record<string, string>>): Promise<void> {
    this.#setting = this.#setting.then(() => this.#write(changes));
    return this.#setting;
  }

  async #write(changes: Readonly<Record<string, string>>): Promise<void> {
    const former = `..${this.#revision}`;
    const revision = `..${++this.#revision}`;
    const added = Object.keys(changes).filter((name) => !(name in this.#values));
    this.#values = { ...this.#values, ...changes };
    await mkdir(join(this.#folder, revision), { recursive: true });
    for (const [name, value] of Object.entries(this.#values))
      await writeFile(join(this.#folder, revision, name), value);
    await symlink(revision, this.path("..data.new"));
    await rename(this.path("..data.new"), this.path("..data"));
    for (const name of added) await symlink(join("..data", name), this.path(name));
    await rm(join(this.#folder, former), { recursive: true, force: true });
  }
}

/** A password or the random part of a token. */
export const newSecret = (): string => randomBytes(24).toString("hex");
