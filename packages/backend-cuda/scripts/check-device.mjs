// Runs the conformance suite on a CUDA device and prints every failure, then a summary.
//
//   node scripts/check-device.mjs [--quick] [--op=name,name]
//
// Each op runs in a child process that serves all following ops too, until one of them loses the device: the next op
// then gets a fresh child, so one faulty kernel does not hide the others.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { coreOps } from '@pergola/core';
import {
  coreCases,
  describeResult,
  quickCases,
  runWithExclusions,
} from '@pergola/core/conformance';
import { sparseOps } from '@pergola/sparse';
import { sparseCases } from '@pergola/sparse/conformance';
import { createCudaDevice } from '@pergola/backend-cuda';

const LOST = 3;
const options = new Map(
  process.argv.slice(2).map((argument) => argument.replace(/^--/, '').split('=')),
);
const chosen = options.get('op')?.split(',');
const ops = [...coreOps(), ...sparseOps()]
  .map(({ name }) => name)
  .filter((name) => chosen?.includes(name) ?? true);

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Runs the cases of all ops from `first` on, one JSON line for each result; ends the process when the device is lost. */
async function serve(first) {
  const device = await createCudaDevice();
  const all = [...coreCases(), ...sparseCases()];
  const cases = options.has('quick') ? quickCases(all) : all;
  say({ device: device.info.description });
  for (const op of ops.slice(first)) {
    say({ op });
    for (const testCase of cases.filter((item) => item.op.name === op)) {
      for (const result of await runWithExclusions(device, testCase)) {
        const { status, path } = result;
        say({ status, path, line: status === 'passed' ? '' : describeResult(result) });
        if (status === 'failed' && result.message.includes('DeviceLostError')) process.exit(LOST);
      }
    }
  }
  device.dispose();
}

/** Runs a child from op `first` on. @returns how many ops it began, and whether it ended early. */
async function follow(first, report) {
  const script = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [script, ...process.argv.slice(2), `--from=${first}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let begun = 0;
  for await (const text of createInterface({ input: child.stdout })) {
    const message = JSON.parse(text);
    if (message.op !== undefined) begun++;
    report(message);
  }
  return { begun, code: await ended };
}

async function main() {
  const counts = { passed: 0, failed: 0, skipped: 0, excluded: 0 };
  const failures = new Map();
  const fallbacks = new Set();
  let current = '';
  const report = ({ device, op, status, path, line }) => {
    if (device !== undefined) console.log(device);
    if (op !== undefined) current = op;
    if (status === undefined) return;
    counts[status]++;
    if (path !== undefined && path !== 'kernel') fallbacks.add(`${current} (${path})`);
    if (status !== 'failed') return;
    console.log(`FAILED ${line}`);
    failures.set(current, (failures.get(current) ?? 0) + 1);
  };
  for (let next = 0; next < ops.length;) {
    const { begun, code } = await follow(next, report);
    if (code === 0) break;
    console.log(`The device was lost (exit code ${code}) in ${current}.`);
    if (begun === 0) process.exit(1);
    next += begun;
  }
  const total = Object.entries(counts).map(([status, count]) => `${count} ${status}`);
  console.log(`${ops.length} ops: ${total.join(', ')}`);
  for (const [op, count] of failures) console.log(`  ${op}: ${count} failed`);
  if (fallbacks.size > 0)
    console.log(`Without a kernel of their own: ${[...fallbacks].join(', ')}`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

if (options.has('from')) await serve(Number(options.get('from')));
else await main();
