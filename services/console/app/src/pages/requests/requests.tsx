import { useParams } from "wouter";
import { RequestDetail } from "./request-detail.tsx";
import { RequestLog } from "./request-log.tsx";

/** Requests: the log, filtered and live, and the receipt of one. */
export default function Requests() {
  const { id } = useParams<{ readonly id?: string }>();
  return id === undefined ? <RequestLog /> : <RequestDetail id={id} />;
}
