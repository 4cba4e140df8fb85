import { create } from "@bufbuild/protobuf";
import { KeySchema } from "@routeplane/contracts/auth";
import { expect, test } from "vitest";
import { keyAuthority } from "./key-authority.ts";

const LINEAGE = { lineage: ["root", "a", "a1"].map((id) => create(KeySchema, { id, prefix: "rp_live_0" })) };
const NONE = { mayRevoke: false, mayChange: false, mayRotate: false };

test("changes and rotates itself and the keys below it", () => {
  for (const keyId of ["root", "a", "a1"]) {
    expect(keyAuthority({ keyId, parentId: "x" }, LINEAGE)).toEqual({
      mayRevoke: true,
      mayChange: true,
      mayRotate: true,
    });
  }
  expect(keyAuthority({ keyId: "b", parentId: "root" }, LINEAGE)).toEqual(NONE);
});

test("changes any key as a root key, but rotates only itself and the keys below it", () => {
  expect(keyAuthority({ keyId: "root-2", parentId: "" }, LINEAGE)).toEqual({
    mayRevoke: true,
    mayChange: true,
    mayRotate: false,
  });
});

test("has no authority before the calling key is known", () => {
  expect(keyAuthority(undefined, LINEAGE)).toEqual(NONE);
});

test("can only revoke a console key, even its own, because that has no token", () => {
  const lineage = [create(KeySchema, { id: "console" })];
  for (const keyId of ["console", "root-2"]) {
    const authority = keyAuthority({ keyId, parentId: "" }, { lineage });
    expect(authority).toEqual({ mayRevoke: true, mayChange: false, mayRotate: false });
  }
});
