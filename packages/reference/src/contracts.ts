import { execFileSync } from "node:child_process";
import { join } from "node:path";
import {
  createFileRegistry,
  type DescEnum,
  type DescEnumValue,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

export const ROOT = join(import.meta.dirname, "../../..");

/** Services of the contracts, sorted by name, read by buf with the comments, which the generated code lacks. */
export function readServices(): readonly DescService[] {
  const image = execFileSync("buf", ["build", "--as-file-descriptor-set", "--path", "routeplane", "--output", "-"], {
    cwd: join(ROOT, "proto"),
    maxBuffer: 64 << 20,
  });
  const { files } = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  const services = [...files].flatMap((file) => file.services);
  return services.toSorted((a, b) => (a.typeName < b.typeName ? -1 : 1));
}

/** Domain of a type or service of the contracts: `auth` of `routeplane.auth.v1.Key`. */
export function domainOf(typeName: string): string {
  return typeName.split(".")[1] ?? "";
}

type Commented = DescEnum | DescEnumValue | DescField | DescMessage | DescMethod | DescService;

/** Comment of a declaration, with its line breaks. */
export function commentOf(desc: Commented): string {
  const { file } = desc.kind === "field" || desc.kind === "enum_value" || desc.kind === "rpc" ? desc.parent : desc;
  const path = pathOf(desc).join();
  const location = file.proto.sourceCodeInfo?.location.find((each) => each.path.join() === path);
  return (location?.leadingComments ?? "").replaceAll(/^ /gm, "").trim();
}

/** Field numbers in FileDescriptorProto and its parts that form the path to a declaration. */
function pathOf(desc: Commented): readonly number[] {
  switch (desc.kind) {
    case "message":
      if (desc.parent !== undefined)
        return [...pathOf(desc.parent), 3, desc.parent.proto.nestedType.indexOf(desc.proto)];
      return [4, desc.file.proto.messageType.indexOf(desc.proto)];
    case "field":
      return [...pathOf(desc.parent), 2, desc.parent.proto.field.indexOf(desc.proto)];
    case "enum":
      if (desc.parent !== undefined) return [...pathOf(desc.parent), 4, desc.parent.proto.enumType.indexOf(desc.proto)];
      return [5, desc.file.proto.enumType.indexOf(desc.proto)];
    case "enum_value":
      return [...pathOf(desc.parent), 2, desc.parent.proto.value.indexOf(desc.proto)];
    case "service":
      return [6, desc.file.proto.service.indexOf(desc.proto)];
    case "rpc":
      return [...pathOf(desc.parent), 2, desc.parent.proto.method.indexOf(desc.proto)];
  }
}

/**
 * Messages and enums that these messages contain at any depth, themselves included. Google's messages are left out, because they have JSON
 * forms of their own.
 */
export function typesWithin(messages: readonly DescMessage[]): ReadonlySet<DescEnum | DescMessage> {
  const types = new Set<DescEnum | DescMessage>(messages);
  // The iteration of a set includes entries that are added meanwhile.
  for (const type of types) {
    if (type.kind === "enum") continue;
    for (const { message, enum: enumeration } of type.fields) {
      if (enumeration !== undefined) types.add(enumeration);
      if (message !== undefined && !message.typeName.startsWith("google.")) types.add(message);
    }
  }
  return types;
}
