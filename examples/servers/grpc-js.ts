/** Server with @grpc/grpc-js that requires an API key of its callers. */
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import { callerOf, grpcInterceptor, verifier } from "@routeplane/client"; // protects

const { PORT = "3000", ROUTEPLANE_AUTH_URL: url = "", ROUTEPLANE_SERVICE_CREDENTIAL = "" } = process.env;

const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() };
const common = {
  requestStream: false,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
};
const greeter = {
  hello: { ...common, path: "/example.Greeter/Hello", responseStream: false },
  events: { ...common, path: "/example.Greeter/Events", responseStream: true },
};

const keys = verifier({ url, serviceCredential: ROUTEPLANE_SERVICE_CREDENTIAL }); // protects
const interceptors = [grpcInterceptor(keys, ServerInterceptingCall, { scope: "inference:invoke" })]; // protects

const server = new Server({ interceptors });
server.addService(greeter, {
  hello({ metadata }: ServerUnaryCall<string, string>, callback: sendUnaryData<string>) {
    callback(null, `hello ${callerOf(metadata).keyId}`);
  },
  // Runs until the caller disconnects or its key is revoked.
  events(call: ServerWritableStream<string, string>) {
    call.write("begun");
  },
});
server.bindAsync(`127.0.0.1:${PORT}`, ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});
