// The one error that the client throws, read from what gRPC hands back.

import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** A call that failed. */
export class SyncServiceError extends Error {
  override readonly name = "SyncServiceError";

  constructor(
    /** A name of ErrorReason without its prefix; empty when the service did not answer. */
    readonly reason: string,
    message: string,
    readonly code: Code,
    /** The field of the request that is at fault, such as `csv.delimiter`; empty when none is named. */
    readonly field: string,
    cause?: unknown,
    /** What a person does about it; empty when the service did not answer. */
    readonly nextStep = "",
    /** When to try again; undefined when the service does not say. */
    readonly retryAfterSeconds?: number,
  ) {
    super(message, { cause });
  }

  /** Whether the service gave no answer of its own: it is down, or the way to it is. */
  get unreachable(): boolean {
    return this.reason === "" && (this.code === Code.Unavailable || this.code === Code.DeadlineExceeded);
  }
}

/** Reads the service's reason, message and field out of whatever a call threw. */
export function toSyncServiceError(thrown: unknown): SyncServiceError {
  if (thrown instanceof SyncServiceError) return thrown;
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const violation = error.findDetails(BadRequestSchema)[0]?.fieldViolations[0];
  const field = violation?.field ?? info?.metadata["field"] ?? "";
  const wait = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const seconds = wait === undefined ? undefined : Number(wait.seconds) + wait.nanos / 1e9;
  const nextStep = info?.metadata["next_step"] ?? "";
  return new SyncServiceError(info?.reason ?? "", error.rawMessage, error.code, field, thrown, nextStep, seconds);
}

/** The response of a call; its failure as a SyncServiceError. */
export async function answered<T>(response: Promise<T>): Promise<T> {
  try {
    return await response;
  } catch (thrown) {
    throw toSyncServiceError(thrown);
  }
}

/** A call that ended well and yet held nothing: a fault of the service. */
export function noAnswer(): SyncServiceError {
  return new SyncServiceError("INTERNAL", "the service ended the call without an answer", Code.Internal, "");
}
