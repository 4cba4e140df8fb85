import { HOSTED_TOOLS, MODALITIES, SERVICE_TIERS } from "@routeplane/policy-spec";
import { Field } from "../../../components/field.tsx";
import { faultAt } from "./draft-faults.ts";
import type { GuardrailDraft } from "./draft.ts";
import type { FormProps } from "./form.ts";
import styles from "./forms.module.css";
import { NameList } from "./name-list.tsx";
import { PatternList } from "./pattern-list.tsx";

/** Maximum length of the text of a list of models: more than 100 models of 256 characters. */
const MAX_LIST_CHARS = 30_000;

/** Fields of a guardrail. */
export function GuardrailForm({ draft, path, faults, onEdit }: FormProps<GuardrailDraft>) {
  const [allow, deny] = [`${path}.model_allow`, `${path}.model_deny`];
  const names = (member: "serviceTierAllow" | "modalityAllow" | "hostedToolAllow", field: string) => ({
    allowed: draft[member],
    error: faultAt(faults, `${path}.${field}`),
    onChange: (allowed: readonly string[] | undefined) => onEdit(`${path}.${field}`, { [member]: allowed }),
  });
  return (
    <div className={styles.form}>
      <div className={styles.list}>
        <Field label="Models that may be called">
          <select
            value={draft.modelAllow === undefined ? "all" : "some"}
            onChange={({ target }) => onEdit(allow, { modelAllow: target.value === "all" ? undefined : "" })}
          >
            <option value="all">All models</option>
            <option value="some">Only these</option>
          </select>
        </Field>
        {draft.modelAllow !== undefined && (
          <Field
            label="Allowed models, one per line"
            hint={
              draft.modelAllow.trim() === ""
                ? "The list is empty: no model may be called."
                : "* stands for any characters; provider/ in front means that provider alone."
            }
            error={faultAt(faults, allow)}
          >
            <textarea
              rows={4}
              spellCheck={false}
              maxLength={MAX_LIST_CHARS}
              placeholder={"gpt-4o-mini\nanthropic/claude-*"}
              value={draft.modelAllow}
              onChange={({ target }) => onEdit(allow, { modelAllow: target.value })}
            />
          </Field>
        )}
        <Field
          label="Denied models, one per line"
          hint="These models are refused even if another rule allows them. Empty: none."
          error={faultAt(faults, deny)}
        >
          <textarea
            rows={3}
            spellCheck={false}
            maxLength={MAX_LIST_CHARS}
            value={draft.modelDeny}
            onChange={({ target }) => onEdit(deny, { modelDeny: target.value })}
          />
        </Field>
      </div>
      <div className={styles.row}>
        <Field
          label="Tokens of one request"
          hint="Input and output together. Empty: no maximum"
          error={faultAt(faults, `${path}.max_request_tokens`)}
        >
          <input
            inputMode="numeric"
            maxLength={30}
            value={draft.maxRequestTokens}
            onChange={({ target }) => onEdit(`${path}.max_request_tokens`, { maxRequestTokens: target.value })}
          />
        </Field>
        <Field label="Streams">
          <select
            value={String(draft.allowStreaming ?? "")}
            onChange={({ target }) =>
              onEdit(`${path}.allow_streaming`, {
                allowStreaming: target.value === "" ? undefined : target.value === "true",
              })
            }
          >
            <option value="">no rule</option>
            <option value="false">refused</option>
            <option value="true">allowed by this policy</option>
          </select>
        </Field>
        <Field
          label="Content that cannot be inspected"
          hint="Images, audio, binary files, references. Without a rule: refused if a pattern blocks."
        >
          <select
            value={draft.uninspectable ?? ""}
            onChange={({ target }) =>
              onEdit(`${path}.uninspectable`, {
                uninspectable: target.value === "" ? undefined : (target.value as "block" | "pass"),
              })
            }
          >
            <option value="">no rule</option>
            <option value="block">refused</option>
            <option value="pass">passes</option>
          </select>
        </Field>
      </div>
      <PatternList
        patterns={draft.contentPatterns}
        path={`${path}.content_patterns`}
        faults={faults}
        onEdit={(field, contentPatterns) => onEdit(field, { contentPatterns })}
      />
      <NameList
        label="Tools run by the provider"
        hint="Tools that the provider runs and bills, such as web search."
        names={HOSTED_TOOLS}
        {...names("hostedToolAllow", "hosted_tool_allow")}
      />
      <NameList
        label="Service tiers"
        hint="Tiers that a request may ask for."
        names={SERVICE_TIERS}
        {...names("serviceTierAllow", "service_tier_allow")}
      />
      <NameList
        label="Kinds of output"
        hint="A request that names none asks for text."
        names={MODALITIES}
        {...names("modalityAllow", "modality_allow")}
      />
    </div>
  );
}
