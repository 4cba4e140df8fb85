/** Twelve patterns as operators write them. */
export const EVERYDAY_PATTERNS: readonly string[] = [
  String.raw`\b\d{3}-\d{2}-\d{4}\b`,
  String.raw`[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}`,
  "sk-[A-Za-z0-9]{20,}",
  "AKIA[0-9A-Z]{16}",
  String.raw`\b(?:\d[ -]*?){13,16}\b`,
  "(?i)strictly confidential",
  "(?i)internal use only",
  String.raw`\b(?:\d{1,3}\.){3}\d{1,3}\b`,
  "ghp_[A-Za-z0-9]{36}",
  "-----BEGIN [A-Z ]+PRIVATE KEY-----",
  String.raw`(?i)password\s*[:=]\s*\S+`,
  String.raw`\+?\d{1,3}[ -]?\(?\d{3}\)?[ -]?\d{3}[ -]?\d{4}`,
];

const WORDS =
  "the gateway judges what a key may ask of its model and which text may pass on 12 June, at 10:30, for 4,096 tokens; ";

/** Prose that no pattern matches. */
export function prose(length: number): string {
  return WORDS.repeat(Math.ceil(length / WORDS.length)).slice(0, length);
}
