import { type DescField, getOption } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { type FieldRules, fieldRules, Ignore } from "@routeplane/contracts/validate";

/** Rules of a field. The rules of an optional field apply only to a value that is not zero. */
export function rulesOf(field: DescField): { readonly rules: FieldRules; readonly ignoresZero: boolean } {
  const rules = getOption(field, fieldRules);
  return { rules, ignoresZero: rules.ignore === Ignore.IF_ZERO_VALUE };
}

/** True if a request without the field is refused: the rules say so, or they do not admit zero, which absence means. */
export function isRequired(field: DescField): boolean {
  const { rules, ignoresZero } = rulesOf(field);
  if (rules.required) return true;
  if (ignoresZero || field.oneof !== undefined || field.presence !== FeatureSet_FieldPresence.IMPLICIT) return false;
  const { type } = rules;
  switch (type.case) {
    case "string":
      return type.value.minLen > 0n || type.value.len > 0n || type.value.in.length > 0;
    case "enum":
      return type.value.notIn.includes(0);
    case "int32":
    case "int64": {
      const { case: kind, value = 0 } = type.value.greaterThan;
      return kind === "gt" ? value >= 0 : value > 0;
    }
    case "repeated":
      return type.value.minItems > 0n;
    default:
      return false;
  }
}
