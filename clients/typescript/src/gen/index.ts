export * from "./techaura/sync/v1/api_source_pb.js";
export * from "./techaura/sync/v1/csv_source_pb.js";
export * from "./techaura/sync/v1/error_reasons_pb.js";
export * from "./techaura/sync/v1/json_pb.js";
export * from "./techaura/sync/v1/resources_pb.js";
export * from "./techaura/sync/v1/schedules_pb.js";
export * from "./techaura/sync/v1/sync_service_pb.js";
export * from "./techaura/sync/v1/sync_spec_pb.js";
