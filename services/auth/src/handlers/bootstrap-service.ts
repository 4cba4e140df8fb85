import type { ServiceImpl } from "@connectrpc/connect";
import type { BootstrapService } from "@routeplane/contracts/auth";
import type { Bootstrap } from "../domain/bootstrap.ts";

export function bootstrapService(bootstrap: Bootstrap): ServiceImpl<typeof BootstrapService> {
  return {
    async bootstrapNode({ operatorToken }) {
      const { accountId = "", namespaceId = "" } = await bootstrap(operatorToken);
      return { accountId, namespaceId };
    },
  };
}
