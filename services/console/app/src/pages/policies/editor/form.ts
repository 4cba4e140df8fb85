import type { PolicyDraft } from "./draft.ts";
import type { Faults } from "./spec-faults.ts";

/** Properties of the form of one kind: its draft, and the faults to show. */
export interface FormProps<Draft> {
  readonly draft: Draft;
  /** Path of the spec, or of the part of a preset: the prefix of the paths of its fields. */
  readonly path: string;
  readonly faults: Faults;
  /** Called with the path of the edited field, and the change. */
  readonly onEdit: (field: string, change: Partial<Draft>) => void;
}

/** Properties of the form of a spec. */
export interface SpecFormProps {
  readonly draft: PolicyDraft;
  readonly faults: Faults;
  /** Called with the path of the edited field, and the change. */
  readonly onEdit: (field: string, change: Partial<PolicyDraft>) => void;
}
