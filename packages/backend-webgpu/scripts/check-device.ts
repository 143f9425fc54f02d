/**
 * Conformance of every op, in every strategy, on whatever adapter is there; then timings. Prints a summary and, with
 * `--json`, writes all results. `scripts/bundle.mjs` makes one file of it for machines without this repository.
 *
 *     node check-device.mjs [--ops matmul,linear] [--cases regex] [--strategies naive,tiled] [--fast]
 *       [--shard 2/8] [--no-conformance] [--timings regex] [--json results.json]
 *
 * `--fast` checks without Dawn's validation and bounds checks, as programs run outside development. `--shard 2/8` checks
 * the chosen cases 2, 10, 18, ...: eight processes, 0/8 to 7/8, check all. Exits with 1 when a case fails.
 */
import { writeFile } from 'node:fs/promises';
import { exit } from 'node:process';
import { parseArgs } from 'node:util';
import type { Device } from '@pergola/core';
import {
  coreCases,
  describeResult,
  runConformance,
  type ConformanceCase,
  type ConformanceReport,
} from '@pergola/core/conformance';
import { sparseCases } from '@pergola/sparse/conformance';
import { openCheckedDevice } from './open.ts';
import { timeWorkload, WORKLOADS, type Timing } from './timings.ts';

const { values } = parseArgs({
  options: {
    ops: { type: 'string' },
    cases: { type: 'string', default: '' },
    strategies: { type: 'string' },
    shard: { type: 'string', default: '0/1' },
    fast: { type: 'boolean', default: false },
    'no-conformance': { type: 'boolean', default: false },
    timings: { type: 'string' },
    json: { type: 'string' },
  },
});

/** Makes kernels list only the strategies that were asked for. */
function limitStrategies(device: Device, wanted: readonly string[]): void {
  const { backend } = device;
  const kernel = backend.kernel.bind(backend);
  backend.kernel = (op) => {
    const found = kernel(op);
    if (found?.strategies === undefined) return found;
    return { ...found, strategies: found.strategies.filter((name) => wanted.includes(name)) };
  };
}

const PROGRESS_MILLISECONDS = 10_000;

/** The cases that were asked for, of those every `count`-th. */
function chooseCases(): ConformanceCase[] {
  const [index, count] = values.shard.split('/').map(Number) as [number, number];
  if (!/^\d+\/\d+$/.test(values.shard) || index >= count) {
    throw new Error(`check-device: --shard must be like 0/8 to 7/8, got ${values.shard}.`);
  }
  const ops = values.ops?.split(',');
  const names = new RegExp(values.cases);
  return [...coreCases(), ...sparseCases()]
    .filter(({ op, name }) => (ops === undefined || ops.includes(op.name)) && names.test(name))
    .filter((_, i) => i % count === index);
}

async function checkConformance(): Promise<ConformanceReport> {
  const cases = chooseCases();
  const device = await openCheckedDevice(!values.fast);
  const { description, features } = device.info;
  console.log(`${description} (${features.join(', ')})`);
  if (values.strategies !== undefined) limitStrategies(device, values.strategies.split(','));
  const start = performance.now();
  const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  const begun = new Set<string>();
  let told = start;
  const report = await runConformance(device, cases, {
    onResult(result) {
      const { op, case: name, status } = result;
      begun.add(`${op} / ${name}`);
      if (status === 'failed') console.log(`FAILED ${describeResult(result).slice(0, 600)}`);
      if (performance.now() - told < PROGRESS_MILLISECONDS) return;
      told = performance.now();
      console.log(`${begun.size} of ${cases.length} cases in ${seconds()}, at ${op} / ${name}`);
    },
  });
  const { passed, failed, skipped } = report;
  console.log(
    `shard ${values.shard}: ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds()}`,
  );
  device.dispose();
  return report;
}

async function timeAll(pattern: RegExp): Promise<Timing[]> {
  const device = await openCheckedDevice(false);
  const timings: Timing[] = [];
  for (const workload of WORKLOADS) {
    if (!pattern.test(workload.name)) continue;
    const timing = await timeWorkload(device, workload);
    const { name, milliseconds, deviceMilliseconds, teraflops } = timing;
    const onDevice =
      deviceMilliseconds === undefined
        ? ''
        : ` (${deviceMilliseconds.toFixed(3)} ms on the device)`;
    console.log(
      `${name}: ${milliseconds.toFixed(3)} ms${onDevice}, ${teraflops.toFixed(1)} TFLOP/s`,
    );
    timings.push(timing);
  }
  device.dispose();
  return timings;
}

const report = values['no-conformance'] ? undefined : await checkConformance();
const timings = values.timings === undefined ? [] : await timeAll(new RegExp(values.timings));
if (values.json !== undefined) {
  const results = report?.results ?? [];
  await writeFile(
    values.json,
    JSON.stringify({ date: new Date(), results, timings }, undefined, 1),
  );
}
// Dawn keeps the process alive.
exit(report === undefined || report.failed === 0 ? 0 : 1);
