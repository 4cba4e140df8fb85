import type { PolicyDraft } from "./draft.ts";
import type { Faults } from "./spec-faults.ts";

/** What the form of one kind gets: its draft, and the faults that are shown. */
export interface FormProps<Draft> {
  readonly draft: Draft;
  /** Path of the spec or of the part of a preset, before the names of its fields. */
  readonly path: string;
  readonly faults: Faults;
  /** Called with the path of the field that was edited, and what was changed. */
  readonly onEdit: (field: string, change: Partial<Draft>) => void;
}

/** What the form of a spec gets. */
export interface SpecFormProps {
  readonly draft: PolicyDraft;
  readonly faults: Faults;
  /** Called with the path of the field that was edited, and what was changed. */
  readonly onEdit: (field: string, change: Partial<PolicyDraft>) => void;
}
