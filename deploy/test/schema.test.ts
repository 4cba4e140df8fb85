import { expect, it } from "vitest";
import { buildKustomizations, type Manifest } from "./kustomize.ts";
import { schemaFaults } from "./strict-schema.ts";

const FOLDERS = ["base", "production", "provision", "bootstrap", "monitoring"];
const INSTALLATIONS = [
  ["provision", "bootstrap", "base", "monitoring"],
  ["provision", "bootstrap", "production", "monitoring"],
];

it.each(FOLDERS)("the manifests of %s are accepted strictly", async (folder) => {
  const faults = (await buildKustomizations(folder)).flatMap((manifest) =>
    schemaFaults(manifest).map((fault) => `${manifest.kind} ${manifest.metadata.name}${fault}`),
  );
  expect(faults).toEqual([]);
});

it("an unknown field, a wrong type, a missing field and an unknown kind are faults", () => {
  const service = { apiVersion: "v1", kind: "Service", metadata: { name: "a" } };
  const port = { port: 80, appProtocol: "http" };
  const faultsOf = (spec: object): readonly string[] => schemaFaults({ ...service, spec } as typeof service);
  expect(faultsOf({ ports: [port], selector: { any: "key" } })).toEqual([]);
  expect(faultsOf({ ports: [{ ...port, apProtocol: "http" }] })).toEqual(["/spec/ports/0/apProtocol: unknown field"]);
  expect(faultsOf({ ports: [{ port: "80" }] })).toEqual([expect.stringContaining("/spec/ports/0/port: type")]);
  expect(faultsOf({ ports: [{ name: "http" }] })).toEqual([expect.stringContaining("/spec/ports/0: required")]);
  expect(schemaFaults({ apiVersion: "v1", kind: "Secret" })).toEqual(["/kind: no schema for v1 Secret"]);
});

it("a misspelt name of any field of any manifest is a fault", async () => {
  const manifests = await buildKustomizations(...FOLDERS.filter((folder) => folder !== "base"));
  let fields = 0;
  const missed: string[] = [];
  for (const manifest of manifests) {
    for (const { holder, name, path } of fieldsOf(manifest)) {
      fields++;
      const value = holder[name];
      delete holder[name];
      holder[`${name}x`] = value;
      if (schemaFaults(manifest).length === 0) missed.push(`${manifest.kind} ${manifest.metadata.name}: ${path}`);
      delete holder[`${name}x`];
      holder[name] = value;
    }
  }
  expect(missed).toEqual([]);
  expect(fields).toBeGreaterThan(1_000);
});

it.each(INSTALLATIONS)(
  "manifests of %s, %s, %s and %s are for any namespace, each with its own name",
  async (...folders) => {
    const manifests = await buildKustomizations(...folders);
    expect(manifests.filter(({ metadata }) => metadata.namespace !== undefined)).toEqual([]);
    const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names).toEqual([...new Set(names)]);
  },
);

/** Fields whose value is a map with keys of any name. */
const MAPS = new Set(["labels", "matchLabels", "selector", "data", "requests", "limits"]);

interface Field {
  readonly holder: Record<string, unknown>;
  readonly name: string;
  readonly path: string;
}

/** Every named field of a manifest, at any depth, except the keys of maps. */
function fieldsOf(manifest: Manifest): readonly Field[] {
  const fields: Field[] = [];
  const visit = (value: unknown, path: string): void => {
    if (Array.isArray(value)) for (const [index, child] of value.entries()) visit(child, `${path}/${index}`);
    else if (isRecord(value)) {
      for (const [name, child] of Object.entries(value)) {
        fields.push({ holder: value, name, path: `${path}/${name}` });
        const isMap = MAPS.has(name) && isRecord(child) && Object.values(child).every((entry) => !isRecord(entry));
        if (!isMap || "matchLabels" in child) visit(child, `${path}/${name}`);
      }
    }
  };
  visit(manifest, "");
  return fields;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
