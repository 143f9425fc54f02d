/**
 * Conformance of every op, in every strategy, on whatever adapter is there; then timings. Prints a summary and, with
 * `--json`, writes all results. `scripts/bundle.mjs` makes one file of it for machines without this repository.
 *
 *     node check-device.mjs [--ops matmul,linear] [--cases regex] [--strategies naive,tiled] [--fast]
 *       [--no-conformance] [--timings regex] [--json results.json]
 *
 * `--fast` checks without Dawn's validation and bounds checks, as programs run outside development. Exits with 1 when
 * a case fails.
 */
import { writeFile } from 'node:fs/promises';
import { exit } from 'node:process';
import { parseArgs } from 'node:util';
import type { Device } from '@pergola/core';
import {
  coreCases,
  describeResult,
  runConformance,
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

async function checkConformance(): Promise<ConformanceReport> {
  const device = await openCheckedDevice(!values.fast);
  const { description, features } = device.info;
  console.log(`${description} (${features.join(', ')})`);
  if (values.strategies !== undefined) limitStrategies(device, values.strategies.split(','));
  const ops = values.ops?.split(',');
  const cases = new RegExp(values.cases);
  const start = performance.now();
  const report = await runConformance(device, [...coreCases(), ...sparseCases()], {
    filter: ({ op, name }) => (ops === undefined || ops.includes(op.name)) && cases.test(name),
    onResult: (result) => {
      if (result.status === 'failed') console.log(`FAILED ${describeResult(result).slice(0, 600)}`);
    },
  });
  const { passed, failed, skipped } = report;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s`);
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
