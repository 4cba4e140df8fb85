import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { promisify } from "node:util";

const CLIENT = join(import.meta.dirname, "..");
const CHECKOUT = join(CLIENT, "../..");
const TSC = join(CHECKOUT, "node_modules/typescript/bin/tsc");

/** Matches the specifier of an import or export in a declaration file, with the text before it. */
const SPECIFIER = /(\bfrom\s+|\bimport\s*\(\s*|\bimport\s+)"([^"]+)"/g;

/** DOM type that a library uses, and that the types of Node.js do not declare under this name. */
const HEADERS_INIT = "type HeadersInit = NonNullable<ConstructorParameters<typeof Headers>[0]>;\n";

/**
 * Writes the declarations of entries of the client and of everything that they import, so that the types of the package need no other
 * package. The compiler writes the declarations of the workspace; those of the generated contracts and of libraries are copied. Every
 * import becomes relative.
 *
 * @param entries names of modules in `src`
 */
export async function collectTypes(entries: readonly string[], target: string): Promise<void> {
  const emitted = await mkdtemp(join(tmpdir(), "routeplane-types-"));
  try {
    await emitDeclarations(entries, emitted);
    await copyImported(
      entries.map((name) => join(CLIENT, `src/${name}.d.ts`)),
      emitted,
      target,
    );
  } finally {
    await rm(emitted, { recursive: true });
  }
}

async function emitDeclarations(entries: readonly string[], outDir: string): Promise<void> {
  const project = join(outDir, "tsconfig.json");
  const compilerOptions = {
    noEmit: false,
    incremental: false,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: CHECKOUT,
    outDir,
    typeRoots: [join(CHECKOUT, "node_modules/@types")],
  };
  const contracts = join(CHECKOUT, "packages/contracts/src");
  // The compiler emits nothing for a package that is imported by its name.
  const imported = (await readdir(contracts))
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(contracts, name));
  const files = [...entries.map((name) => join(CLIENT, `src/${name}.ts`)), ...imported];
  await writeFile(
    project,
    JSON.stringify({ extends: join(CHECKOUT, "tsconfig.json"), compilerOptions, include: [], files }),
  );
  await promisify(execFile)(process.execPath, [TSC, "--project", project]);
}

/** Copies files with all that they import. A file is identified by its path in the checkout, even if the compiler has written it. */
async function copyImported(entries: readonly string[], emitted: string, target: string): Promise<void> {
  const pending = [...entries];
  const seen = new Set(pending);
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const source = join(emitted, relative(CHECKOUT, path));
    const text = await readFile(existsSync(source) ? source : path, "utf8");
    const from = dirname(targetOf(path));
    const rewritten = text.replace(SPECIFIER, (whole, before: string, specifier: string) => {
      if (specifier.startsWith("node:")) return whole;
      const imported = declarationOf(specifier, path);
      if (!seen.has(imported)) pending.push(imported);
      seen.add(imported);
      const to = relative(from, targetOf(imported))
        .replaceAll(sep, "/")
        .replace(/\.d\.ts$/, ".js");
      return `${before}"${to.startsWith(".") ? to : `./${to}`}"`;
    });
    const written = join(target, targetOf(path));
    await mkdir(dirname(written), { recursive: true });
    await writeFile(written, /\bHeadersInit\b/.test(text) ? HEADERS_INIT + rewritten : rewritten);
  }
}

/** Path of the declarations of an imported module. */
function declarationOf(specifier: string, importer: string): string {
  const path = specifier.startsWith(".")
    ? resolve(dirname(importer), specifier)
    : createRequire(importer).resolve(specifier);
  return path.replace(/(?:\.d)?\.[jt]s$/, ".d.ts");
}

/** Path of a file within the types of the package: in a folder named after its own package. */
function targetOf(path: string): string {
  const inLibrary = path.split(`${sep}node_modules${sep}`).at(-1) ?? "";
  const name = inLibrary === path ? relative(join(CHECKOUT, "packages"), path) : inLibrary;
  return name.replace(`${sep}src${sep}`, sep);
}
