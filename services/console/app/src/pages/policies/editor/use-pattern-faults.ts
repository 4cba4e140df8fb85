import { useEffect, useState } from "react";
import type { Faults } from "./spec-faults.ts";

/** Pause after the last key stroke before patterns are compiled. Milliseconds. */
const PAUSE_MS = 250;
/** Maximum number of patterns whose result is kept, more than a guardrail can have. */
const MAX_JUDGED = 500;

/**
 * Faults of content patterns by the rules of the service. Patterns are compiled by the same code, which is loaded when the first pattern is
 * typed. If it cannot be loaded, only the service validates them.
 *
 * @param patterns by the path of their field
 */
export function usePatternFaults(patterns: ReadonlyMap<string, string>): Faults {
  /** Faults by pattern; an empty text for one that has none. */
  const [judged, setJudged] = useState<ReadonlyMap<string, string>>(new Map());
  const pending = JSON.stringify([...new Set(patterns.values())].filter((pattern) => !judged.has(pattern)));
  useEffect(() => {
    const texts = JSON.parse(pending) as readonly string[];
    if (texts.length === 0) return;
    const judge = async (): Promise<void> => {
      const { patternFault } = await import("@routeplane/guardrails/pattern");
      const found = texts.map((text) => [text, patternFault(text)?.message ?? ""] as const);
      setJudged((current) => new Map([...current, ...found].slice(-MAX_JUDGED)));
    };
    // Without the code, e.g. after an update of the node, the service still judges the pattern when it is saved.
    const timer = setTimeout(() => void judge().catch(() => undefined), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [pending]);
  const faults = new Map<string, string>();
  for (const [path, pattern] of patterns) {
    const fault = judged.get(pattern) ?? "";
    if (fault !== "") faults.set(path, fault);
  }
  return faults;
}
