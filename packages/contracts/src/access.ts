export * from "./gen/routeplane/access/v1/access_pb.js";
