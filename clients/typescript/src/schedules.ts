// The calls on recurring syncs.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions, Client } from "@connectrpc/connect";
import { answered, noAnswer } from "./errors.js";
import {
  ListSyncSchedulesRequestSchema,
  SyncScheduleSchema,
  type ListSyncSchedulesResponse,
  type SyncSchedule,
} from "./gen/techaura/sync/v1/schedules_pb.js";
import type { SyncService } from "./gen/techaura/sync/v1/sync_service_pb.js";

export type SyncScheduleInit = MessageInitShape<typeof SyncScheduleSchema>;

export class SyncSchedules {
  constructor(
    private readonly client: Client<typeof SyncService>,
    private readonly once: CallOptions,
  ) {}

  /** Stores a schedule; returns it as it is stored. */
  async create(schedule: SyncScheduleInit): Promise<SyncSchedule> {
    return present((await answered(this.client.createSyncSchedule({ schedule }, this.once))).schedule);
  }

  /** One schedule. */
  async get(syncScheduleId: bigint): Promise<SyncSchedule> {
    return present((await answered(this.client.getSyncSchedule({ syncScheduleId }, this.once))).schedule);
  }

  /** One page of schedules, newest first. */
  list(request: MessageInitShape<typeof ListSyncSchedulesRequestSchema> = {}): Promise<ListSyncSchedulesResponse> {
    return answered(this.client.listSyncSchedules(request, this.once));
  }

  /** Changes the fields that `paths` names (without it: those that are set); returns it as it is stored. */
  async update(schedule: SyncScheduleInit, paths?: string[]): Promise<SyncSchedule> {
    const request = paths === undefined ? { schedule } : { schedule, updateMask: { paths } };
    return present((await answered(this.client.updateSyncSchedule(request, this.once))).schedule);
  }

  /** Removes a schedule; its runs stay. */
  async delete(syncScheduleId: bigint): Promise<void> {
    await answered(this.client.deleteSyncSchedule({ syncScheduleId }, this.once));
  }

  /** Starts what the schedule syncs; returns the run's id. */
  async runNow(syncScheduleId: bigint): Promise<bigint> {
    return (await answered(this.client.runSyncSchedule({ syncScheduleId }, this.once))).syncRunId;
  }
}

function present(schedule: SyncSchedule | undefined): SyncSchedule {
  if (schedule === undefined) throw noAnswer();
  return schedule;
}
