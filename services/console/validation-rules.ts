import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Plugin } from "vite";

/**
 * Leaves the descriptor of the validation rules out of the app: messages import it, but nothing in a browser reads it. It is replaced by an
 * empty file descriptor of the same name. Importing anything else from it fails the build.
 */
export function leaveOutValidationRules(): Plugin {
  const file = create(FileDescriptorProtoSchema, {
    name: "buf/validate/validate.proto",
    package: "buf.validate",
    syntax: "proto2",
  });
  const bytes = Buffer.from(toBinary(FileDescriptorProtoSchema, file)).toString("base64");
  return {
    name: "leave-out-validation-rules",
    load(id) {
      if (!id.endsWith("/gen/buf/validate/validate_pb.js")) return null;
      return `import { fileDesc } from "@bufbuild/protobuf/codegenv2";
export const file_buf_validate_validate = /*@__PURE__*/ fileDesc("${bytes}");
`;
    },
  };
}
