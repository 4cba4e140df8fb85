import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Certificate in PEM, and its private key. */
export interface IssuedCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Authority for one test. Everything that it makes is in a folder of its own, and valid for a day. */
export interface TestAuthority {
  /** Certificate of the authority in PEM. */
  readonly ca: string;
  /** Folder of the certificates; to be removed by the test. */
  readonly folder: string;
  /** Issues a certificate for 127.0.0.1 to 127.0.0.9, localhost and these names. */
  issue(...names: string[]): IssuedCertificate;
}

const ADDRESSES = Array.from({ length: 9 }, (_, index) => `IP:127.0.0.${index + 1}`);

/** Creates an authority with the machine's `openssl`. */
export function createAuthority(): TestAuthority {
  const folder = mkdtempSync(join(tmpdir(), "authority-"));
  const request = (name: string, ...more: string[]): IssuedCertificate => {
    const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const names = ["-subj", `/CN=${name}`, "-days", "1", ...more];
    execFileSync("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert, ...names], { stdio: "pipe" });
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  };
  const authority = request("authority");
  const issuer = ["-CA", join(folder, "authority.crt"), "-CAkey", join(folder, "authority.key")];
  return {
    ca: authority.cert,
    folder,
    issue(...names) {
      const all = [...ADDRESSES, "DNS:localhost", ...names.map((name) => `DNS:${name}`)].join(",");
      const leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", `subjectAltName=${all}`];
      return request(randomUUID(), ...issuer, ...leaf);
    },
  };
}
