/**
 * `npm run bench`: times kernels on the CPU backend against their plain references and against ONNX Runtime, and mesh
 * extraction.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuDevice } from '@pergola/core';
import { formatTimings } from './report.ts';
import { RUNNER_DEFAULTS, runWorkload, type Timing, type Workload } from './runner.ts';
import { attentionWorkload } from './suites/attention.ts';
import { conv3dWorkload } from './suites/conv3d.ts';
import { meshExtractionWorkload } from './suites/mesh-extraction.ts';
import { matmulWorkload } from './suites/matmul.ts';
import { submanifoldConvWorkload } from './suites/submanifold-conv.ts';

const { values } = parseArgs({
  options: {
    filter: { type: 'string', default: '' },
    seconds: { type: 'string', default: String(RUNNER_DEFAULTS.maxSeconds) },
    json: { type: 'string' },
  },
});

const devices = {
  'pergola cpu, 1 thread': await createCpuDevice({ threads: 1 }),
  'pergola cpu, 2 threads': await createCpuDevice({ threads: 2 }),
};

const workloads: Workload[] = [
  matmulWorkload(512, 512, 512, devices),
  matmulWorkload(1024, 1024, 1024, devices),
  attentionWorkload(4, 1024, 64, devices),
  conv3dWorkload(32, 32, devices),
  submanifoldConvWorkload(128, 128, devices),
  meshExtractionWorkload(devices),
];

const timings: Timing[] = [];
for (const workload of workloads) {
  if (!workload.name.includes(values.filter)) continue;
  const results = await runWorkload(workload, {
    ...RUNNER_DEFAULTS,
    maxSeconds: Number(values.seconds),
  });
  timings.push(...results);
  console.log(`\n${workload.name}\n${formatTimings(results)}`);
  if (workload.note !== undefined) console.log(workload.note());
}

if (values.json !== undefined) {
  const report = {
    date: new Date().toISOString(),
    processor: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    timings,
  };
  await mkdir(dirname(values.json), { recursive: true });
  await writeFile(values.json, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(`\nwritten to ${values.json}`);
}
for (const device of Object.values(devices)) device.dispose();
