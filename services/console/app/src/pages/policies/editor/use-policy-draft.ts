import { useState } from "react";
import { toSpecJson } from "@routeplane/policy-spec";
import { shownFaults, toFormFaults } from "./draft-faults.ts";
import { draftOf, type PolicyDraft, toDraftJson } from "./draft.ts";
import { judgeDraft } from "./judged-draft.ts";
import { usePatternFaults } from "./use-pattern-faults.ts";

/** State of a draft that is edited by its fields or as JSON, with its faults. */
export function usePolicyDraft(initial: PolicyDraft) {
  const [draft, setDraft] = useState(initial);
  const [jsonText, setJsonText] = useState<string>();
  const [edited, setEdited] = useState<ReadonlySet<string>>(new Set());
  const [areAllShown, setAllShown] = useState(false);
  const judged = judgeDraft(draft, jsonText);
  const faults = new Map([...judged.faults, ...usePatternFaults(judged.patterns)]);
  const isValid = faults.size === 0;
  const shown = jsonText === undefined ? shownFaults(toFormFaults(faults), edited, areAllShown) : faults;
  return {
    draft,
    jsonText,
    /** Spec of the draft; undefined while it has faults. Faults of the name do not count. */
    spec: [...faults.keys()].some((path) => path !== "name") ? undefined : judged.spec,
    isValid,
    /** Faults to show now. */
    shown,
    edit: (field: string, change: Partial<PolicyDraft>): void => {
      setDraft({ ...draft, ...change });
      setEdited(new Set([...edited, field]));
    },
    editJson: setJsonText,
    showAll: (): void => setAllShown(true),
    /** Switches to the spec as JSON. */
    openJson: (): void => {
      setJsonText(JSON.stringify(judged.spec === undefined ? toDraftJson(draft) : toSpecJson(judged.spec), null, 2));
    },
    /** Switches to the fields, with the values of the JSON. Returns false if the JSON has faults that the fields cannot represent. */
    openForm: (): boolean => {
      if (judged.spec === undefined) return false;
      setDraft(draftOf(draft.name, judged.spec));
      setJsonText(undefined);
      return true;
    },
  };
}
