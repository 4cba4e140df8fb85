import type { DescMethod } from "@bufbuild/protobuf";
import { isInternal, publishedServices } from "../access.ts";

/** Process that serves methods which clients may call. */
export type RelayedService = keyof ReturnType<typeof publishedServices>;

/** Method that clients may call, and the process that serves it. */
export interface RelayedMethod {
  readonly service: RelayedService;
  readonly method: DescMethod;
  /** Path of the method, e.g. `/routeplane.auth.v1.KeyService/ListKeys`. */
  readonly path: string;
}

/** Every method of the contracts that is not internal. */
export function relayedMethods(): readonly RelayedMethod[] {
  return Object.entries(publishedServices()).flatMap(([service, contracts]) =>
    contracts
      .flatMap(({ methods }) => methods)
      .filter((method) => !isInternal(method))
      .map((method) => ({
        service: service as RelayedService,
        method,
        path: `/${method.parent.typeName}/${method.name}`,
      })),
  );
}
