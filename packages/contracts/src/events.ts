export * from "./gen/routeplane/events/v1/usage_event_pb.js";
