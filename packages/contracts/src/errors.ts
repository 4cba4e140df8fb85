export * from "./gen/routeplane/errors/v1/reasons_pb.js";
