// A thin client of SyncService over gRPC.
//
// Calls with one response have a deadline; streams that follow a run have none. Leaving a stream early (break, or an
// aborted signal) ends the call and never the run. Every failure is a SyncServiceError.

import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Code, createClient, type Client, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { answered, noAnswer, SyncServiceError, toSyncServiceError } from "./errors.js";
import { SyncStatus, type SyncRun, type SyncStats } from "./gen/techaura/sync/v1/resources_pb.js";
import {
  ListSyncErrorsRequestSchema,
  ListSyncRunsRequestSchema,
  SyncService,
  type GetSyncStatusResponse,
  type ListSyncErrorsResponse,
  type ListSyncRunsResponse,
  type ResumeSyncsResponse,
  type TestSourceResponse,
  type TriggerSyncResponse,
} from "./gen/techaura/sync/v1/sync_service_pb.js";
import type { SyncSpecSchema } from "./gen/techaura/sync/v1/sync_spec_pb.js";
import { SyncSchedules } from "./schedules.js";

/** What to sync: `{ sourceIdentifier: "/data/songs.csv", source: { case: "csv", value: { delimiter: ";" } } }`. */
export type SyncSpecInit = MessageInitShape<typeof SyncSpecSchema>;

export interface ClientOptions {
  /** An API key, or another bearer token, that every call carries. */
  token?: string;
  /** Deadline of every call with one response. Default: 10000. */
  callTimeoutMs?: number;
  /** Attempts in a row to take up a broken watch; a message that arrives starts the count over. Default: 8. */
  watchRetriesMax?: number;
  /** Longest wait between two of them; the first is 100 ms and each further one twice as long. Default: 5000. */
  retryWaitMaxMs?: number;
}

/** Whether a run with this status has ended. */
export function isTerminal(status: SyncStatus): boolean {
  return status === SyncStatus.COMPLETED || status === SyncStatus.FAILED || status === SyncStatus.CANCELLED;
}

const BROKEN: readonly Code[] = [Code.Unavailable, Code.Canceled, Code.Aborted, Code.Unknown];

export class SyncClient {
  private readonly transport: Transport;
  private readonly client: Client<typeof SyncService>;
  private readonly session: Http2SessionManager;
  private readonly once: { timeoutMs: number };
  private readonly watchRetriesMax: number;
  private readonly retryWaitMaxMs: number;
  /** The calls on recurring syncs. */
  readonly schedules: SyncSchedules;

  /** Talks to the service at `host:port`; the connection opens with the first call. */
  constructor(target: string, options: ClientOptions = {}) {
    const baseUrl = `http://${target}`;
    this.session = new Http2SessionManager(baseUrl);
    const { token } = options;
    const withToken: Interceptor = (next) => (request) => {
      if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    this.transport = createGrpcTransport({ baseUrl, sessionManager: this.session, interceptors: [withToken] });
    this.client = createClient(SyncService, this.transport);
    this.once = { timeoutMs: options.callTimeoutMs ?? 10_000 };
    this.watchRetriesMax = options.watchRetriesMax ?? 8;
    this.retryWaitMaxMs = options.retryWaitMaxMs ?? 5_000;
    this.schedules = new SyncSchedules(this.client, this.once);
  }

  /** Ends the connection and every open call. */
  close(): void {
    this.session.abort();
  }

  /**
   * Makes any call with one response, as the proto has it: `call(SyncService.method.getSyncSchedule, { syncScheduleId })`.
   * It has the deadline and the errors of the other methods.
   */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const asked = this.transport.unary(method, undefined, this.once.timeoutMs, undefined, request);
    return (await answered(asked)).message;
  }

  /** Starts a run: first `accepted`, then progress up to a terminal status. */
  trigger(spec: SyncSpecInit, signal?: AbortSignal): AsyncGenerator<TriggerSyncResponse> {
    return translated(this.client.triggerSync({ spec }, calling(signal)));
  }

  /** Starts a run and returns its id as soon as it is stored. */
  async triggerDetached(spec: SyncSpecInit): Promise<bigint> {
    const response = await only(this.client.triggerSync({ spec, detach: true }, this.once));
    if (response.event.case !== "accepted") throw noAnswer();
    return response.event.value.syncRunId;
  }

  /**
   * Looks at a source without a run; nothing is written. With `answerRefusal` a source that does not fit its options is
   * answered, with `refusal` and other readings; otherwise the call fails.
   */
  testSource(spec: SyncSpecInit, { answerRefusal = false } = {}): Promise<TestSourceResponse> {
    return answered(this.client.testSource({ spec, answerRefusal }, this.once));
  }

  /** Where a run stands now. */
  status(syncRunId: bigint): Promise<GetSyncStatusResponse> {
    return only(this.client.getSyncStatus({ syncRunId }, this.once));
  }

  /** Follows a run to its end, over broken connections too; the last message carries a terminal status. */
  async *watch(syncRunId: bigint, afterSequence = 0n, signal?: AbortSignal): AsyncGenerator<GetSyncStatusResponse> {
    let failures = 0;
    for (;;) {
      let broken = new SyncServiceError("", "the service ended the watch before the run", Code.Unavailable, "");
      try {
        const request = { syncRunId, watch: true, afterSequence };
        for await (const response of this.client.getSyncStatus(request, calling(signal))) {
          failures = 0;
          afterSequence = response.sequence > afterSequence ? response.sequence : afterSequence;
          yield response;
          if (response.run !== undefined && isTerminal(response.run.status)) return;
        }
      } catch (thrown) {
        broken = toSyncServiceError(thrown);
      }
      if (signal?.aborted || !BROKEN.includes(broken.code) || failures >= this.watchRetriesMax) throw broken;
      const wait = Math.min(100 * 2 ** failures++, this.retryWaitMaxMs);
      await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
    }
  }

  /** How many runs there are, by status. */
  async stats(): Promise<SyncStats> {
    const { stats } = await only(this.client.getSyncStats({}, this.once));
    if (stats === undefined) throw noAnswer();
    return stats;
  }

  /** Wakes the workers; returns how many runs were pending. */
  resume(): Promise<ResumeSyncsResponse> {
    return only(this.client.resumeSyncs({}, this.once));
  }

  /** One page of runs, newest first. */
  listRuns(request: MessageInitShape<typeof ListSyncRunsRequestSchema> = {}): Promise<ListSyncRunsResponse> {
    return answered(this.client.listSyncRuns(request, this.once));
  }

  /** One page of a run's errors, newest first. */
  listErrors(request: MessageInitShape<typeof ListSyncErrorsRequestSchema>): Promise<ListSyncErrorsResponse> {
    return answered(this.client.listSyncErrors(request, this.once));
  }

  /** Cancels a run; returns it as it stands. */
  async cancel(syncRunId: bigint): Promise<SyncRun> {
    const { run } = await answered(this.client.cancelSync({ syncRunId }, this.once));
    if (run === undefined) throw noAnswer();
    return run;
  }

  /** Holds a run until it is continued; returns it as it stands. */
  async pause(syncRunId: bigint): Promise<SyncRun> {
    const { run } = await answered(this.client.pauseSync({ syncRunId }, this.once));
    if (run === undefined) throw noAnswer();
    return run;
  }

  /** Lets a paused run go on (ContinueSync); returns it as it stands. */
  async continueRun(syncRunId: bigint): Promise<SyncRun> {
    const { run } = await answered(this.client.continueSync({ syncRunId }, this.once));
    if (run === undefined) throw noAnswer();
    return run;
  }
}

function calling(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

async function* translated<T>(responses: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* responses;
  } catch (thrown) {
    throw toSyncServiceError(thrown);
  }
}

/** The one message of a stream that was not asked to go on. */
async function only<T>(responses: AsyncIterable<T>): Promise<T> {
  const all: T[] = [];
  for await (const response of translated(responses)) all.push(response);
  if (all[0] === undefined) throw noAnswer();
  return all[0];
}
