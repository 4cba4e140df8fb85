import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { type Finding, findRiddles, findSynonyms } from "./comments.ts";

/** Checks comments and names of every source file of the checkout; exits with 1 if one breaks a convention. */

const PATTERNS = ["*.ts", "*.js", "proto/routeplane/*.proto", ":!packages/contracts/src/gen"];

const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ...PATTERNS]);
const paths = new Set(
  list
    .toString()
    .split("\0")
    .filter((path) => path !== "" && existsSync(path)),
);
const findings = [...paths].flatMap((path) => {
  const source = readFileSync(path, "utf8");
  return [...findRiddles(path, source), ...findSynonyms(path, source)].map((finding) => describe(path, finding));
});
if (findings.length > 0) {
  process.stderr.write(
    `${findings.join("\n")}\n${findings.length} comments or names break the conventions of CONTRIBUTING.md\n`,
  );
  process.exitCode = 1;
}

function describe(path: string, { line, text, advice }: Finding): string {
  return `${path}:${line}: ${text}\n  ${advice}`;
}
