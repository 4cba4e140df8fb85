import { create } from "@bufbuild/protobuf";
import { KeySchema } from "@routeplane/contracts/auth";
import { expect, test } from "vitest";
import { keyAuthority } from "./key-authority.ts";

const LINEAGE = { lineage: ["root", "a", "a1"].map((id) => create(KeySchema, { id })) };

test("changes and rotates itself and the keys below it", () => {
  for (const keyId of ["root", "a", "a1"]) {
    expect(keyAuthority({ keyId, parentId: "x" }, LINEAGE)).toEqual({ mayChange: true, mayRotate: true });
  }
  expect(keyAuthority({ keyId: "b", parentId: "root" }, LINEAGE)).toEqual({ mayChange: false, mayRotate: false });
});

test("changes any key as a root key, but rotates none that is not below it", () => {
  expect(keyAuthority({ keyId: "root-2", parentId: "" }, LINEAGE)).toEqual({ mayChange: true, mayRotate: false });
});

test("has no authority before it is known which key calls", () => {
  expect(keyAuthority(undefined, LINEAGE)).toEqual({ mayChange: false, mayRotate: false });
});
