import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadProviders, type Provider, type ProviderSources } from "../src/providers/providers.ts";

const variable = (name: string): string | undefined => (name.endsWith("KEY") ? "sk-variable-key" : undefined);

/** Loads a providers file of this text, whose name in faults is `providers.yaml`. */
export function loadProvidersText(text: string, more: Partial<ProviderSources> = {}): readonly Provider[] {
  const folder = mkdtempSync(join(tmpdir(), "routeplane-providers-"));
  try {
    const file = join(folder, "providers.yaml");
    writeFileSync(file, text);
    return loadProviders({ file, echo: false, openAiApiKey: undefined, variable, ...more });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Returns the line of a fault in such a file, and its message. */
export function faultOf(text: string, more: Partial<ProviderSources> = {}): { line: number; message: string } {
  try {
    loadProvidersText(text, more);
  } catch (error) {
    const [, line, message = ""] = /providers\.yaml:(\d+): (.*)$/s.exec(String(error)) ?? [];
    if (line !== undefined) return { line: Number(line), message };
    throw error;
  }
  throw new Error("the file is loaded");
}
