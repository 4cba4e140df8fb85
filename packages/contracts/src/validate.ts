export {
  field as fieldRules,
  type FieldRules,
  FieldRulesSchema,
  message as messageRules,
} from "./gen/buf/validate/validate_pb.js";
