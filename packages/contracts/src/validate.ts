export {
  field as fieldRules,
  type FieldRules,
  FieldRulesSchema,
  Ignore,
  message as messageRules,
  oneof as oneofRules,
} from "./gen/buf/validate/validate_pb.js";
