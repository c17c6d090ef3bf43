// Client of the TechAura Sync service for Node: a thin layer over the generated stubs.

export { SyncClient, isTerminal, type ClientOptions, type SyncSpecInit } from "./client.js";
export { SyncSchedules, type SyncScheduleInit } from "./schedules.js";
export { SyncServiceError } from "./errors.js";
export * from "./gen/techaura/sync/v1/api_source_pb.js";
export * from "./gen/techaura/sync/v1/csv_source_pb.js";
export * from "./gen/techaura/sync/v1/error_reasons_pb.js";
export * from "./gen/techaura/sync/v1/resources_pb.js";
export * from "./gen/techaura/sync/v1/schedules_pb.js";
export * from "./gen/techaura/sync/v1/sync_service_pb.js";
export * from "./gen/techaura/sync/v1/sync_spec_pb.js";
