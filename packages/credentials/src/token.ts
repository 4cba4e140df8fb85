import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

/**
 * The shape of a token: `<rp|rpo|rps|rpw>_<live|test>_<lookup id>_<secret>_<checksum>`, of fixed length: a lookup id of 128 random bits,
 * a secret of 256, and the CRC-32 of all before it, each in base62. Secret scanners recognise it, and a malformed one is refused
 * by its checksum, without a lookup. Internal credentials are `rps_` and a secret alone (see service-credentials.ts).
 */
export type TokenKind = "key" | "operator" | "service" | "session";
export type TokenMode = "live" | "test";

export interface ParsedToken {
  readonly kind: TokenKind;
  readonly mode: TokenMode;
  /** Id by which the stored secret is found. Not a secret. */
  readonly lookupId: string;
  readonly secret: string;
}

const PREFIX: Record<TokenKind, string> = { key: "rp", operator: "rpo", service: "rps", session: "rpw" };
const KINDS = { rp: "key", rpo: "operator", rps: "service", rpw: "session" } as const;
const LOOKUP_BYTES = 16;
const SECRET_BYTES = 32;
const CHECKSUM_BYTES = 4;
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const TOKEN = /^(rp[osw]?)_(live|test)_([0-9A-Za-z]{22})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})$/;

export function mintToken(kind: TokenKind, mode: TokenMode = "live"): string {
  const body = [PREFIX[kind], mode, randomBase62(LOOKUP_BYTES), randomBase62(SECRET_BYTES)].join("_");
  return `${body}_${checksum(body)}`;
}

/** A new internal credential: `rps_` and 256 random bits. */
export function mintServiceToken(): string {
  return `rps_${randomBase62(SECRET_BYTES)}`;
}

/** The parts of a well-formed token, or undefined. Pure. */
export function parseToken(text: string): ParsedToken | undefined {
  const match = TOKEN.exec(text);
  if (match === null) return undefined;
  const [, prefix, mode, lookupId, secret, sum] = match as unknown as [
    string,
    keyof typeof KINDS,
    TokenMode,
    string,
    string,
    string,
  ];
  if (checksum(text.slice(0, text.lastIndexOf("_"))) !== sum) return undefined;
  return { kind: KINDS[prefix], mode, lookupId, secret };
}

/** Start of a token, by which people recognise it: everything before the lookup id, and its first 8 characters. */
export function tokenPrefix(token: ParsedToken): string {
  return `${PREFIX[token.kind]}_${token.mode}_${token.lookupId.slice(0, 8)}`;
}

function checksum(body: string): string {
  const bytes = Buffer.alloc(CHECKSUM_BYTES);
  bytes.writeUInt32BE(crc32(body));
  return base62(bytes);
}

function randomBase62(bytes: number): string {
  return base62(randomBytes(bytes));
}

/** Base62 of fixed length for a given number of bytes: the fewest digits that hold any value. */
function base62(bytes: Buffer): string {
  const length = Math.ceil((bytes.length * 8) / Math.log2(62));
  let value = BigInt(`0x${bytes.toString("hex")}`);
  let text = "";
  while (text.length < length) {
    text = DIGITS[Number(value % 62n)] + text;
    value /= 62n;
  }
  return text;
}
