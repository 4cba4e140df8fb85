import { generateKeyPairSync, type KeyObject, randomBytes, randomUUID, sign } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Certificate in PEM, and its private key. */
export interface IssuedCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  /** DNS names besides localhost. */
  readonly names?: readonly string[];
  /** IPv4 addresses besides 127.0.0.1 to 127.0.0.9. */
  readonly addresses?: readonly string[];
  /** End of its validity; a day from now by default. It begins a day before that, and an hour before now at the latest. */
  readonly validUntil?: Date;
}

/**
 * Authority for one test. Made by Node.js alone: a clean machine has no `openssl`, and a package for the few fields that a test
 * needs brings twenty others to every installation.
 */
export interface TestAuthority {
  /** Certificate of the authority in PEM. */
  readonly ca: string;
  /** Folder for the files of the test, which removes it. Contains only `caFile`. */
  readonly folder: string;
  /** Path of a file with `ca`. */
  readonly caFile: string;
  issue(options?: IssueOptions): IssuedCertificate;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const ADDRESSES = Array.from({ length: 9 }, (_, index) => `127.0.0.${index + 1}`);

export function createAuthority(): TestAuthority {
  // Unique, because verifiers look for an issuer by its name.
  const name = `authority ${randomUUID()}`;
  const { publicKey, privateKey } = newKeyPair();
  const signedBy = (subject: Omit<Subject, "issuer">): string =>
    toPem(certify({ ...subject, issuer: name }, privateKey));
  const folder = mkdtempSync(join(tmpdir(), "authority-"));
  const caFile = join(folder, "authority.crt");
  const ca = signedBy({ name, publicKey, extensions: [AUTHORITY], ...validity() });
  writeFileSync(caFile, ca);
  return {
    ca,
    folder,
    caFile,
    issue({ names = [], addresses = [], validUntil } = {}) {
      const leaf = newKeyPair();
      const extensions = [alternativeNames(["localhost", ...names], [...ADDRESSES, ...addresses])];
      const subject = { name: randomUUID(), publicKey: leaf.publicKey, extensions, ...validity(validUntil) };
      return { cert: signedBy(subject), key: leaf.privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
    },
  };
}

function newKeyPair() {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function validity(until = new Date(Date.now() + DAY_MS)) {
  return { until, from: new Date(Math.min(until.getTime() - DAY_MS, Date.now() - HOUR_MS)) };
}

/** Fields of a certificate (RFC 5280). */
interface Subject {
  readonly name: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly from: Date;
  readonly until: Date;
  readonly extensions: readonly Buffer[];
}

/** Object identifiers, encoded. */
const COMMON_NAME = Buffer.from("0603550403", "hex");
const ECDSA_WITH_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");
const BASIC_CONSTRAINTS = Buffer.from("0603551d13", "hex");
const SUBJECT_ALT_NAME = Buffer.from("0603551d11", "hex");
const TRUE = Buffer.from("0101ff", "hex");

/** Tags of DER. */
const Tag = { integer: 2, bits: 3, octets: 4, text: 12, time: 23, sequence: 48, set: 49 } as const;
/** Tag of a member with an explicit number. */
const member = (number: number): number => 0xa0 + number;

/** Element of DER: tag, length and content. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const long = length < 128 ? [] : length < 256 ? [length] : [length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...(length < 128 ? [length] : [0x80 + long.length, ...long])]), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(Tag.sequence, ...parts);

const AUTHORITY = sequence(BASIC_CONSTRAINTS, TRUE, der(Tag.octets, sequence(TRUE)));

function alternativeNames(names: readonly string[], addresses: readonly string[]): Buffer {
  const all = [
    ...names.map((name) => der(0x82, Buffer.from(name))),
    ...addresses.map((address) => der(0x87, Buffer.from(address.split(".").map(Number)))),
  ];
  return sequence(SUBJECT_ALT_NAME, der(Tag.octets, sequence(...all)));
}

function certify({ name, issuer, publicKey, from, until, extensions }: Subject, signer: KeyObject): Buffer {
  const algorithm = sequence(ECDSA_WITH_SHA256);
  const nameOf = (text: string): Buffer =>
    sequence(der(Tag.set, sequence(COMMON_NAME, der(Tag.text, Buffer.from(text)))));
  const timeOf = (time: Date): Buffer =>
    der(Tag.time, Buffer.from(`${time.toISOString().replaceAll(/[-:T]/g, "").slice(2, 14)}Z`));
  const unsigned = sequence(
    der(member(0), der(Tag.integer, Buffer.from([2]))),
    // Positive and without a leading zero.
    der(Tag.integer, Buffer.from([1]), randomBytes(8)),
    algorithm,
    nameOf(issuer),
    sequence(timeOf(from), timeOf(until)),
    nameOf(name),
    publicKey.export({ type: "spki", format: "der" }),
    der(member(3), sequence(...extensions)),
  );
  return sequence(unsigned, algorithm, der(Tag.bits, Buffer.from([0]), sign("sha256", unsigned, signer)));
}

function toPem(certificate: Buffer): string {
  const lines = certificate.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
