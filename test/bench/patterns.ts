import { compileRules, judgeText, type TextPattern, Work } from "@routeplane/guardrails";
import { RE2Set } from "re2js";
import { EVERYDAY_PATTERNS, prose } from "./everyday-patterns.ts";

/**
 * Measures content patterns by themselves: twelve everyday ones over 8 KiB of prose, beside re2js's own set, which only reports
 * whether they match; and the longest slices of the event loop under adversarial sets over 10 MiB. CPU time of this thread, so
 * other load on the machine does not matter.
 */

const KIB_8 = prose(8_192);
const MIB_10 = 10 * 1024 ** 2;
const SLICE_MAX_MS = 50;

const redact = (patterns: readonly string[]): TextPattern[] =>
  patterns.map((pattern) => ({ pattern, action: "redact" }));
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

/** Work that measures the CPU time between two turns of the event loop. */
class TimedWork extends Work {
  longestMs = 0;
  steps = 0;
  #since = cpuMs();

  override spend(steps: number): void {
    super.spend(steps);
    this.steps += steps;
  }

  override async pause(): Promise<void> {
    this.endSlice();
    await super.pause();
    this.#since = cpuMs();
  }

  endSlice(): void {
    this.longestMs = Math.max(this.longestMs, cpuMs() - this.#since);
  }
}

async function everyday(): Promise<void> {
  const rules = await compileRules(redact(EVERYDAY_PATTERNS));
  const set = new RE2Set();
  for (const pattern of EVERYDAY_PATTERNS) set.add(pattern);
  set.compile();
  const perText = async (judge: () => unknown): Promise<string> => {
    for (let count = 0; count < 500; count++) await judge();
    const started = cpuMs();
    for (let count = 0; count < 2_000; count++) await judge();
    return `${(((cpuMs() - started) * 1_000) / 2_000).toFixed(0)} us`;
  };
  const judged = await perText(() => judgeText(rules, KIB_8, new Work()));
  const matched = await perText(() => set.match(KIB_8));
  process.stdout.write(`12 everyday patterns over 8 KiB: judged ${judged}; re2js's set, verdict only, ${matched}\n`);
}

function random(alphabet: string, length: number): string {
  const units = Buffer.alloc(length);
  let seed = 12_345;
  for (let at = 0; at < length; at++) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    units[at] = alphabet.charCodeAt((seed >> 8) % alphabet.length);
  }
  return units.toString("latin1");
}

const several = (count: number, pattern: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => pattern(index));
const ADVERSARIAL: Readonly<Record<string, readonly [readonly string[], string]>> = {
  "(a|b)*a(a|b){20}c": [["(a|b)*a(a|b){20}c"], random("ab", MIB_10)],
  "20 x a(?:a|b){n}[ac]!": [several(20, (index) => `a(?:a|b){${index + 5}}[ac]!`), random("abc", MIB_10)],
  "10 x [a-z]{n}!": [several(10, (index) => `[a-z]{${index + 100}}!`), random("abcz", MIB_10)],
  "(?:a?){300}b": [["(?:a?){300}b"], "a".repeat(MIB_10)],
  "(?:a?b?c?){160}d": [["(?:a?b?c?){160}d"], random("abc", MIB_10)],
  "50 x x.*y.*z.*n": [several(50, (index) => `x.*y.*z.*${index}`), random("xyz ab", MIB_10)],
  "(?s).+": [["(?s).+"], random("abc\n", MIB_10)],
  "[ac]": [["[ac]"], random("ab", MIB_10)],
  "((((a*)+)+)+)+b": [["((((a*)+)+)+)+b"], "a".repeat(MIB_10)],
  [String.raw`20 x (?i)[\pL\pN]{10}\pS{n}\pM`]: [
    several(20, (index) => String.raw`(?i)[\pL\pN]{10}\pS{${index + 1}}\pM`),
    random("a\xe9\xdf+\xb4", MIB_10),
  ],
  "full-width letters": [["secret"], "ｓｅｃ".repeat(MIB_10 / 9)],
  "letters and marks": [["secret"], "e\u0301s\u0336".repeat(MIB_10 / 6)],
  "zero-width spaces in between": [["secret"], "s\u200be\u200b".repeat(MIB_10 / 8)],
  "marks alone": [["secret"], "\u0301\u0336".repeat(MIB_10 / 4)],
  "x[ab]{1,500}y, z[^y]{400}y": [["x[ab]{1,500}y", "z[^y]{400}y"], random("xab", MIB_10)],
};

async function adversarial(): Promise<void> {
  for (const [name, [patterns, text]] of Object.entries(ADVERSARIAL)) {
    const rules = await compileRules(redact(patterns));
    const started = cpuMs();
    const work = new TimedWork();
    const { blocked } = await judgeText(rules, text, work);
    work.endSlice();
    const end = blocked === undefined ? "judged" : "given up";
    const figures = `longest slice ${work.longestMs.toFixed(1)} ms, ${((cpuMs() - started) / 1_000).toFixed(1)} s in all, ${end}`;
    process.stdout.write(`${name.padEnd(34)}${figures}${work.longestMs > SLICE_MAX_MS ? "   TOO LONG" : ""}\n`);
  }
}

await everyday();
await adversarial();
