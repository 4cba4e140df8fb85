import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { RequestHistoryService } from "@routeplane/contracts/usage";

/**
 * Creates the reader of the installation's id, which asks the usage service until it has answered once. It resolves to undefined
 * while that service is of a release that does not know the id: during an upgrade, gateways may be ahead of it.
 *
 * @param usage transport to the usage service
 */
export function createInstallation(usage: Transport): () => Promise<string | undefined> {
  const client = createClient(RequestHistoryService, usage);
  let known: string | undefined;
  const read = async (): Promise<string | undefined> => {
    try {
      return (await client.getInstallation({})).id;
    } catch (error) {
      if (ConnectError.from(error).code === Code.Unimplemented) return undefined;
      throw error;
    }
  };
  return async () => (known ??= await read());
}
