import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, describe, expect, it } from "vitest";
import { ConfigurationError, readEnvironment } from "./environment.ts";
import type { Component } from "./lifecycle.ts";
import { createLogger } from "./log.ts";
import { readMetrics } from "./operations/metrics.ts";
import { SecretFault, type SecretFiles } from "./secret-files.ts";

const root = mkdtempSync(join(tmpdir(), "secrets-"));
const watches: Component[] = [];
afterAll(async () => {
  for (const component of watches) await component.stop();
  rmSync(root, { recursive: true });
});

const newFolder = (): string => mkdtempSync(join(root, "of-a-test-"));

/** Replaces a file as an editor or an agent does: another file is renamed over it. */
function replace(file: string, content: string): void {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}

function watch(secretFiles: SecretFiles): string[] {
  const lines: string[] = [];
  watches.push(secretFiles.watch(createLogger("test", (line) => (lines.push(line), ""))));
  return lines;
}

/** Reads TOKEN from a file with this content, and watches it. */
function open(content: string) {
  const file = join(newFolder(), "token");
  writeFileSync(file, content);
  const { secret, secretFiles } = readEnvironment({ TOKEN_FILE: file }, (env) => ({
    secret: env.parsedSecret("TOKEN", "must begin with rps_", (text) => (text.startsWith("rps_") ? text : undefined)),
    secretFiles: env.secretFiles,
  }));
  const seen: string[] = [];
  secret.onChange((value) => seen.push(value));
  return { file, secret, seen, lines: watch(secretFiles) };
}

const faultsOf = (variables: Record<string, string>): string => {
  try {
    readEnvironment(variables, (env) => ({ token: env.secret("TOKEN") }));
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
  }
  throw new Error("no fault was found");
};

describe("a secret of the environment", () => {
  it("is the value of its variable, or the trimmed content of the file that the variable with _FILE names", () => {
    const file = join(newFolder(), "token");
    writeFileSync(file, "\n rps_secret \r\n");
    const read = (variables: Record<string, string>) =>
      readEnvironment(variables, (env) => ({ token: env.secret("TOKEN") })).token.current;
    expect(read({ TOKEN: " rps_secret " })).toBe("rps_secret");
    expect(read({ TOKEN_FILE: file })).toBe("rps_secret");
    expect(read({ TOKEN: "rps_secret", TOKEN_FILE: " " })).toBe("rps_secret");
  });

  it("is undefined if it is optional and neither variable is set", () => {
    const read = readEnvironment({ TOKEN_FILE: "" }, (env) => ({ token: env.optionalSecret("TOKEN") }));
    expect(read.token).toBeUndefined();
  });

  it("is a fault if both variables are set, or none, and the fault repeats no value", () => {
    const file = join(newFolder(), "token");
    writeFileSync(file, "rps_canary1");
    const both = faultsOf({ TOKEN: "rps_canary2", TOKEN_FILE: file });
    expect(both).toMatch(/TOKEN: is set, and TOKEN_FILE too/);
    expect(both).not.toContain("canary");
    expect(faultsOf({})).toMatch(/TOKEN: is required, or TOKEN_FILE/);
  });

  it("is a fault if its file is missing, empty, too large or not a file, and the fault names the file", () => {
    const folder = newFolder();
    const file = join(folder, "token");
    expect(faultsOf({ TOKEN_FILE: file })).toContain(`TOKEN_FILE: ${file} cannot be read (ENOENT)`);
    writeFileSync(file, " \n");
    expect(faultsOf({ TOKEN_FILE: file })).toContain(`${file} is empty`);
    writeFileSync(file, "canary".repeat(20_000));
    const large = faultsOf({ TOKEN_FILE: file });
    expect(large).toContain(`${file} is larger than 64 KiB`);
    expect(large).not.toContain("canary");
    expect(faultsOf({ TOKEN_FILE: folder })).toContain("is no regular file");
    expect(faultsOf({ TOKEN_FILE: "/dev/zero" })).toContain("is no regular file");
  });

  it("is a fault if the content of its file breaks the rule, and the fault does not repeat it", () => {
    const file = join(newFolder(), "url");
    writeFileSync(file, "mysql://canary");
    const read = () => readEnvironment({ URL_FILE: file }, (env) => ({ url: env.secretUrl("URL", ["postgres:"]) }));
    expect(read).toThrow("URL_FILE: must be a URL that starts postgres://");
    expect(read).not.toThrow("canary");
  });
});

describe.concurrent("a secret of several files", () => {
  it("is replaced once all of them belong together", async () => {
    const folder = newFolder();
    const [left, right] = [join(folder, "left"), join(folder, "right")];
    for (const file of [left, right]) writeFileSync(file, "1");
    const { pair, secretFiles } = readEnvironment({ LEFT_FILE: left, RIGHT_FILE: right }, (env) => ({
      pair: env.parsedSecrets(["LEFT", "RIGHT", "NONE"], ([first, second, none]) => {
        if (first !== second) throw new SecretFault("they differ");
        return [first, second, none];
      }),
      secretFiles: env.secretFiles,
    }));
    const lines = watch(secretFiles);
    replace(left, "2");
    await eventually(async () => lines.join("").includes("they differ"));
    expect(pair.current).toEqual(["1", "1", undefined]);
    replace(right, "2");
    await eventually(async () => pair.current[0] === "2");
    expect(pair.current).toEqual(["2", "2", undefined]);
  });
});

describe.concurrent("a watched file", () => {
  it("replaces the secret when another file is renamed over it, and logs no value", async () => {
    const { file, secret, seen, lines } = open("rps_canary1");
    replace(file, "rps_canary2\n");
    await eventually(async () => secret.current === "rps_canary2");
    expect(seen).toEqual(["rps_canary2"]);
    expect(lines.join("")).toMatch(/"level":"info".*"secrets":\["TOKEN"\].*secret replaced/);
    expect(lines.join("")).not.toContain("canary");
  });

  it("replaces the secret when it is written in place", async () => {
    const { file, secret } = open("rps_1");
    writeFileSync(file, "rps_2");
    await eventually(async () => secret.current === "rps_2");
  });

  it("replaces the secret when a Kubernetes volume swaps the directory behind it", async () => {
    const folder = newFolder();
    const put = (revision: string, token: string): void => {
      mkdirSync(join(folder, revision));
      writeFileSync(join(folder, revision, "token"), token);
      symlinkSync(revision, join(folder, "..data.tmp"));
      renameSync(join(folder, "..data.tmp"), join(folder, "..data"));
    };
    put("..1", "rps_1");
    symlinkSync("..data/token", join(folder, "token"));
    const { secret, secretFiles } = readEnvironment({ TOKEN_FILE: join(folder, "token") }, (env) => ({
      secret: env.secret("TOKEN"),
      secretFiles: env.secretFiles,
    }));
    watch(secretFiles);
    put("..2", "rps_2");
    rmSync(join(folder, "..1"), { recursive: true });
    await eventually(async () => secret.current === "rps_2");
  });

  it.each([
    ["is empty", (file: string) => truncateSync(file)],
    ["cannot be read (ENOENT)", (file: string) => rmSync(file)],
    ["is larger than 64 KiB", (file: string) => replace(file, `rps_canary${"x".repeat(65_536)}`)],
    ["must begin with rps_", (file: string) => replace(file, "canary")],
  ])("keeps the former secret, logs why once, and takes the next good one: %s", async (fault, spoil) => {
    const { file, secret, seen, lines } = open("rps_1");
    spoil(file);
    await eventually(async () => lines.join("").includes(fault));
    expect(secret.current).toBe("rps_1");
    replace(file, "rps_2");
    await eventually(async () => secret.current === "rps_2");
    expect(seen).toEqual(["rps_2"]);
    const faults = lines.filter((line) => line.includes(fault));
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain('"secrets":["TOKEN"]');
    expect(lines.join("")).not.toContain("canary");
  });

  it("calls no listener for unchanged content, and none after the end of its subscription", async () => {
    const { file, secret, seen } = open("rps_1");
    const ended: string[] = [];
    secret.onChange((value) => ended.push(value))();
    secret.onChange(() => {
      throw new Error("canary");
    });
    replace(file, "rps_1\n");
    chmodSync(file, 0o400);
    replace(file, "rps_2");
    await eventually(async () => seen.length > 0);
    expect(seen).toEqual(["rps_2"]);
    expect(ended).toEqual([]);
  });
});

// Not concurrent with the others, because metrics cover the whole process.
describe("the metrics of secret files", () => {
  it("say which one cannot be used, and when its present value was read", async () => {
    const folder = newFolder();
    const file = join(folder, "secret");
    writeFileSync(file, "rps_1");
    const { secret, secretFiles } = readEnvironment({ METERED_FILE: file }, (env) => ({
      secret: env.secret("METERED"),
      secretFiles: env.secretFiles,
    }));
    const lines = watch(secretFiles);
    const figureOf = async (name: string): Promise<number> => {
      const { text } = await readMetrics();
      return Number(new RegExp(`^routeplane_secret_${name}\\{secret="METERED"\\} (.+)$`, "m").exec(text)?.[1]);
    };
    expect(await figureOf("file_faulty")).toBe(0);
    const readAt = await figureOf("read_timestamp_seconds");
    expect(readAt).toBeCloseTo(Date.now() / 1_000, -2);
    rmSync(file);
    await eventually(async () => (await figureOf("file_faulty")) === 1);
    // The same secret again, as after a mount that was missing for a moment.
    writeFileSync(file, "rps_1");
    await eventually(async () => (await figureOf("file_faulty")) === 0);
    expect(lines.join("")).toContain("secret file is valid again");
    expect(await figureOf("read_timestamp_seconds")).toBe(readAt);
    replace(file, "rps_2");
    await eventually(async () => secret.current === "rps_2");
    expect(await figureOf("read_timestamp_seconds")).toBeGreaterThan(readAt);
  });
});
