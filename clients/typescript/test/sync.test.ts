// The client against a real service, whose address comes in TECHAURA_SYNC_TARGET (host:port).
// TECHAURA_SYNC_TEST_CSV names a CSV file with title, artist and genre in the data roots of that service.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ContentType, isTerminal, SyncClient, SyncService, SyncServiceError, SyncStatus } from "../src/index.js";

const target = process.env["TECHAURA_SYNC_TARGET"];
const csv = process.env["TECHAURA_SYNC_TEST_CSV"];
const missing = target === undefined || csv === undefined;
const skip = missing && "set TECHAURA_SYNC_TARGET and TECHAURA_SYNC_TEST_CSV to run against a real service";

describe("SyncClient", { skip, timeout: 60_000 }, () => {
  const source = { sourceIdentifier: csv ?? "", source: { case: "csv", value: {} } } as const;
  let client: SyncClient;

  before(() => {
    client = new SyncClient(target ?? "");
  });
  after(() => client.close());

  test("a triggered run streams its progress up to completed", async () => {
    const events: string[] = [];
    let runId = 0n;
    let sequence = 0n;
    let last = SyncStatus.UNSPECIFIED;
    let rows = 0n;
    for await (const { event } of client.trigger(source)) {
      events.push(event.case ?? "");
      if (event.case === "accepted") runId = event.value.syncRunId;
      if (event.case !== "progress") continue;
      assert.equal(event.value.syncRunId, runId);
      assert.ok(event.value.sequence > sequence, "sequences grow");
      sequence = event.value.sequence;
      last = event.value.status;
      const ledger = event.value.ledger;
      assert.ok(ledger);
      rows = ledger.rowsRead;
      if (isTerminal(last)) {
        const { inserted, updated, unchanged, rejected, skipped } = ledger;
        assert.equal(rows, inserted + updated + unchanged + rejected + skipped);
      }
    }
    assert.equal(events[0], "accepted");
    assert.ok(events.length > 1);
    assert.equal(last, SyncStatus.COMPLETED);
    assert.ok(rows > 0n);
  });

  test("any call of the service that answers once is made by its name", async () => {
    assert.equal((await client.call(SyncService.method.listSyncRuns, { pageSize: 1 })).runs.length, 1);
    await assert.rejects(client.call(SyncService.method.cancelSync, { syncRunId: 4_000_000_000n }), (thrown) => {
      assert.ok(thrown instanceof SyncServiceError);
      assert.equal(thrown.reason, "RUN_NOT_FOUND");
      return true;
    });
  });

  test("a detached run is watched to its end, counted and listed", async () => {
    const runId = await client.triggerDetached({ ...source, write: { contentType: ContentType.MUSIC } });
    let last = SyncStatus.UNSPECIFIED;
    for await (const { run } of client.watch(runId)) last = run?.status ?? last;

    assert.equal(last, SyncStatus.COMPLETED);
    assert.equal((await client.status(runId)).run?.syncRunId, runId);
    assert.ok((await client.stats()).completed >= 1n);
    assert.equal((await client.listRuns({ pageSize: 1 })).runs.length, 1);
    assert.equal((await client.listErrors({ syncRunId: runId })).errors.length, 0);
    assert.equal((await client.resume()).pendingCount, 0n);
  });

  test("a refused request names its reason", async () => {
    const missingFile = { ...source, sourceIdentifier: `${csv}.missing.csv` };
    await assert.rejects(client.triggerDetached(missingFile), (error: unknown) => {
      assert.ok(error instanceof SyncServiceError);
      assert.equal(error.reason, "SOURCE_NOT_FOUND");
      assert.equal(error.unreachable, false);
      return true;
    });
  });

  test("a schedule is made, run, changed and removed", async () => {
    const made = await client.schedules.create({ spec: source, cron: "0 3 * * *" });
    assert.equal(made.enabled, true);
    assert.ok(made.nextFireAt);
    const runId = await client.schedules.runNow(made.syncScheduleId);
    for await (const _ of client.watch(runId));
    assert.equal((await client.status(runId)).run?.syncScheduleId, made.syncScheduleId);
    const changed = await client.schedules.update({ syncScheduleId: made.syncScheduleId, enabled: false }, ["enabled"]);
    assert.equal(changed.enabled, false);
    assert.equal((await client.schedules.list({ pageSize: 1 })).schedules.length, 1);
    await client.schedules.delete(made.syncScheduleId);
    await assert.rejects(client.schedules.get(made.syncScheduleId), (error: unknown) => {
      assert.ok(error instanceof SyncServiceError);
      assert.equal(error.reason, "SCHEDULE_NOT_FOUND");
      assert.equal(error.nextStep, "list the schedules to find the id");
      return true;
    });
    await assert.rejects(client.pause(runId), SyncServiceError);
    await assert.rejects(client.continueRun(runId), SyncServiceError);
  });

  test("a source is looked at without a run", async () => {
    const before = (await client.stats()).total;
    const found = await client.testSource(source);
    assert.equal(found.itemCount, 2n);
    assert.ok(found.whole);
    assert.deepEqual(found.fields, ["title", "artist", "genre"]);
    assert.equal(found.rows[0]?.values["artist"], "Mercedes Sosa");
    assert.equal((await client.stats()).total, before);
    const wrong = { ...source, source: { case: "csv", value: { columnMapping: { title: "nowhere" } } } } as const;
    await assert.rejects(client.testSource(wrong), { name: "SyncServiceError", reason: "INVALID_MAPPING" });
    const told = await client.testSource(wrong, { answerRefusal: true });
    assert.equal(told.refusal?.reason, "INVALID_MAPPING");
  });

  test("a run that has ended cannot be cancelled", async () => {
    const runId = await client.triggerDetached(source);
    for await (const _ of client.watch(runId));
    await assert.rejects(client.cancel(runId), { name: "SyncServiceError", reason: "RUN_ENDED" });
  });
});

test("a service that is not there is unreachable", async () => {
  const client = new SyncClient("127.0.0.1:1", { callTimeoutMs: 5_000 });
  try {
    await assert.rejects(client.stats(), (error: unknown) => error instanceof SyncServiceError && error.unreachable);
  } finally {
    client.close();
  }
});
