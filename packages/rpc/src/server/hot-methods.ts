import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { ServiceTls } from "../tls.ts";
import type { HealthOptions } from "./health.ts";
import type { RpcServer } from "./server.ts";
import type { UnaryChain } from "./unary-chain.ts";

export interface GrpcServerOptions extends HealthOptions {
  readonly host: string;
  readonly port: number;
  /** Chain that every call passes through, of `rpcChain`. */
  readonly unaryChain: UnaryChain;
  /** Services besides health; see `mount`. */
  readonly services: readonly MountedService[];
  /** Age from which a connection takes no new calls; up to a tenth more or less. `LIMITS.maxSessionAgeMs` by default. */
  readonly maxSessionAgeMs?: number;
  /** Certificates of the server. Without one it speaks clear text. */
  readonly tls?: ServiceTls | undefined;
}

/** A service with its implementation. */
export interface MountedService {
  readonly service: DescService;
  readonly implementation: Partial<Record<string, unknown>>;
}

/** Pairs a service with an implementation as Connect's router takes it. Only unary methods are served; streams are left to Connect. */
export function mount<Service extends DescService>(
  service: Service,
  implementation: Partial<ServiceImpl<Service>>,
): MountedService {
  return { service, implementation };
}

/** Starts the server of the hot methods, see `grpc-server.ts`, which is loaded only where it is used: grpc-js takes 3 MB of a process. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<RpcServer> {
  const grpc = await import("./grpc-server.ts");
  return grpc.startGrpcServer(options);
}
