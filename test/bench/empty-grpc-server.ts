import { Server, ServerCredentials } from "@grpc/grpc-js";
import { VerificationService } from "@routeplane/contracts/auth";

/** Baseline of a gRPC server: answers VerifyKey with an empty message. Sends its address to its parent process. */

const server = new Server({ "grpc.enable_channelz": 0 });
const asIs = (bytes: Buffer): Buffer => bytes;
const { name, parent } = VerificationService.method.verifyKey;
const nothing = Buffer.alloc(0);
server.register(
  `/${parent.typeName}/${name}`,
  (_call: unknown, answer: Answer) => answer(null, nothing),
  asIs,
  asIs,
  "unary",
);
type Answer = (error: null, bytes: Buffer) => void;
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.send?.(`127.0.0.1:${port}`);
});
process.on("disconnect", () => process.exit(0));
