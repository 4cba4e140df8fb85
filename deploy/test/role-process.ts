import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { Readable } from "node:stream";

export interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Names of the environment variables that the process has read. */
  readonly variablesRead: ReadonlySet<string>;
}

/** Script that runs before the bundle and, at exit, writes the names of the variables that were read to descriptor 3. */
const RECORDER = `
  import { writeSync } from "node:fs";
  const read = new Set();
  process.env = new Proxy(process.env, { get: (variables, name) => (read.add(String(name)), variables[name]) });
  process.on("exit", () => writeSync(3, JSON.stringify([...read])));
`;

const EXIT_TIMEOUT_MS = 20_000;

/** Runs a role of a bundle in exactly this environment until it exits. After 20 s it is killed, and `code` is null. */
export async function runToExit(
  entry: string,
  role: string,
  environment: Readonly<Record<string, string>>,
): Promise<Exit> {
  const recorder = `data:text/javascript,${encodeURIComponent(RECORDER)}`;
  const child = spawn(process.execPath, ["--import", recorder, entry, role], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    timeout: EXIT_TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const exited = new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  const [code, stdout, stderr, names] = await Promise.all([
    exited,
    textOf(child.stdio[1]),
    textOf(child.stdio[2]),
    textOf(child.stdio[3]),
  ]);
  return { code, stdout, stderr, variablesRead: new Set(names === "" ? [] : (JSON.parse(names) as string[])) };
}

export interface RunningRole {
  /** Sends SIGTERM, as Kubernetes does. Resolves to the exit code, or null if it was killed after 20 s. */
  stop(): Promise<number | null>;
  /** Output of the process so far, of both streams. */
  output(): string;
}

/** Starts a role of a bundle in exactly this environment. */
export function startRole(entry: string, role: string, environment: Readonly<Record<string, string>>): RunningRole {
  const child = spawn(process.execPath, [entry, role], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const exited = new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  return {
    async stop() {
      child.kill("SIGTERM");
      const killer = setTimeout(() => child.kill("SIGKILL"), EXIT_TIMEOUT_MS);
      const code = await exited;
      clearTimeout(killer);
      return code;
    },
    output: () => output,
  };
}

function textOf(stream: unknown): Promise<string> {
  if (!(stream instanceof Readable)) throw new Error("the process has no such output");
  return text(stream);
}

/** Names of the variables in a list of configuration faults, possibly only of those whose text contains `rule`. */
export function faultyVariables(stderr: string, rule = ""): readonly string[] {
  return [...stderr.matchAll(/^\s+([A-Z][A-Z0-9_]*): (.*)$/gm)]
    .filter(([, , text = ""]) => text.includes(rule))
    .map(([, name = ""]) => name);
}
