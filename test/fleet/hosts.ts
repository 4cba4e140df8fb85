import { execFileSync } from "node:child_process";
import { open, readFile } from "node:fs/promises";

/**
 * Stand-in for the DNS of a cluster: an `/etc/hosts` that only the processes of one fleet see, in mount namespaces of their own.
 * A name may have any number of addresses there, and processes see a change at their next lookup.
 */
export interface Hosts {
  /** Replaces the addresses of a name. */
  set(name: string, addresses: readonly string[]): Promise<void>;
  /** Command that runs another one where the names resolve, as the same process. */
  command(executable: string, args: readonly string[]): readonly [string, string[]];
}

/** Size of the file, always the same: it is replaced by one write, so that no process ever reads half of it. */
const FILE_BYTES = 16 << 10;
const MOUNT = 'mount --bind "$0" /etc/hosts && exec "$@"';

/** True if this user may create mount namespaces: root may, outside of restricted containers. */
export function canMountHosts(): boolean {
  try {
    execFileSync("unshare", ["--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** @param path file that is created for it */
export async function createHosts(path: string): Promise<Hosts> {
  const system = await readFile("/etc/hosts", "utf8");
  const file = await open(path, "w");
  const names = new Map<string, readonly string[]>();
  const write = async (): Promise<void> => {
    const lines = [...names].flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}`));
    const text = `${system}\n${lines.join("\n")}\n`;
    await file.write(text.padEnd(FILE_BYTES, "\n"), 0);
  };
  await write();
  return {
    async set(name, addresses) {
      names.set(name, addresses);
      await write();
    },
    command: (executable, args) => ["unshare", ["--mount", "sh", "-c", MOUNT, path, executable, ...args]],
  };
}
