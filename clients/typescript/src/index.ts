// Client of the TechAura Sync service for Node: a thin layer over the generated stubs.

export { SyncClient, isTerminal, type ClientOptions, type SyncSpecInit } from "./client.js";
export { SyncSchedules, type SyncScheduleInit } from "./schedules.js";
export { SyncServiceError } from "./errors.js";
export * from "./gen/index.js";
