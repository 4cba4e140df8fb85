import { findWord } from "@routeplane/policy-spec/proto";

/** Word of the command line and of JSON for a number of an enum; `unknown` for one that a newer node may send. */
export function word(words: Readonly<Record<string, number>>, number: number): string {
  return findWord(words, number) ?? "unknown";
}
