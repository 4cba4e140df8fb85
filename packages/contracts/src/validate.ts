export { field as fieldRules, type FieldRules } from "./gen/buf/validate/validate_pb.js";
