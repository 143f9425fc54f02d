// Checks a CUDA device: the conformance suite in f32, f16 and bf16, every case with every strategy of its kernel.
//
//   node scripts/check-device.mjs [--quick] [--op=name,name] [--strategy=name,name]
//   compute-sanitizer --tool memcheck node scripts/check-device.mjs --sanitize [--minutes=2.5] [--op=...]
//
// Prints every failure on one line, then counts by dtype and by op; ends with 1 when something failed. Each op runs in a
// child process that serves all following ops too, until one of them loses the device: the next op then gets a fresh
// child, so one faulty kernel does not hide the others.
//
// With --sanitize the small cases run once each in this process and without fences: every tensor is an allocation of its
// own, so memcheck sees its bounds, and every kernel is waited for, so a report names the op before it. Values are not
// compared. Ops take turns, so that a run that is cut short by --minutes has seen something of each.
//
// As one file for a machine without npm, where PERGOLA_CUDA_ADDON names the addon:
//
//   node ../../scripts/bundle-device-tests.mjs --script packages/backend-cuda/scripts/check-device.mjs --out out/check-device.mjs
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { coreOps, sizeOf, UnsupportedOpError } from '@pergola/core';
import {
  caseDTypes,
  coreCases,
  describeResult,
  prepareCase,
  quickCases,
  runWithExclusions,
  uploadInput,
} from '@pergola/core/conformance';
import { sparseOps } from '@pergola/sparse';
import { sparseCases } from '@pergola/sparse/conformance';
import { createCudaDevice, probeCuda } from '@pergola/backend-cuda';

const LOST = 3;
const STATUSES = ['passed', 'failed', 'skipped', 'excluded'];
// Of the cases for the sanitizers: enough elements for several blocks of every kernel.
const SMALL_ELEMENTS = 40_000;
const options = new Map(
  process.argv.slice(2).map((argument) => argument.replace(/^--/, '').split('=')),
);
const chosenOps = options.get('op')?.split(',');
const chosenStrategies = options.get('strategy')?.split(',');
const ops = [...coreOps(), ...sparseOps()]
  .map(({ name }) => name)
  .filter((name) => chosenOps?.includes(name) ?? true);

/** Cases of the chosen ops by name of the op. */
function casesByOp() {
  const all = [...coreCases(), ...sparseCases()];
  const cases = options.has('quick') ? quickCases(all) : all;
  return new Map(ops.map((op) => [op, cases.filter((item) => item.op.name === op)]));
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Runs the cases of all ops from `first` on, one JSON line for each result; ends the process when the device is lost. */
async function serve(first) {
  const device = await createCudaDevice();
  const cases = casesByOp();
  say({ device: device.info.description });
  for (const op of ops.slice(first)) {
    say({ op });
    for (const testCase of cases.get(op)) {
      for (const result of await runWithExclusions(device, testCase)) {
        const { status, path, dtype, strategy } = result;
        if (chosenStrategies !== undefined && !chosenStrategies.includes(strategy)) continue;
        const line = status === 'passed' ? '' : describeResult(result);
        say({ status, path, dtype, strategy, line });
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

/** Counts of results by status, for each value of a label. */
class Tally {
  counts = new Map();

  add(label, status) {
    const row = this.counts.get(label) ?? new Map(STATUSES.map((name) => [name, 0]));
    row.set(status, row.get(status) + 1);
    this.counts.set(label, row);
  }

  lines() {
    return [...this.counts].map(([label, row]) => {
      const parts = [...row].filter(([, count]) => count > 0);
      return `  ${label}: ${parts.map(([status, count]) => `${count} ${status}`).join(', ')}`;
    });
  }
}

async function conform() {
  const [byDType, byStrategy, failures] = [new Tally(), new Tally(), new Tally()];
  const fallbacks = new Set();
  const lost = [];
  let current = '';
  const report = ({ device, op, status, path, dtype, strategy, line }) => {
    if (device !== undefined) console.log(device);
    if (op !== undefined) current = op;
    if (status === undefined) return;
    byDType.add(dtype ?? 'no dtype', status);
    if (strategy !== undefined) byStrategy.add(`${current} ${strategy}`, status);
    if (path !== undefined && path !== 'kernel') fallbacks.add(`${current} (${path})`);
    if (status !== 'failed') return;
    console.log(`FAILED ${line}`);
    failures.add(current, status);
  };
  for (let next = 0; next < ops.length;) {
    const { begun, code } = await follow(next, report);
    if (code === 0) break;
    console.log(`The device was lost (exit code ${code}) in ${current || 'the beginning'}.`);
    lost.push(current);
    if (begun === 0) process.exit(1);
    next += begun;
  }
  console.log(`${ops.length} ops, by dtype:`);
  for (const line of byDType.lines()) console.log(line);
  console.log('Strategies that were forced:');
  for (const line of byStrategy.lines()) console.log(line);
  if (fallbacks.size > 0)
    console.log(`Without a kernel of their own: ${[...fallbacks].join(', ')}`);
  const good = failures.counts.size === 0 && lost.length === 0;
  console.log(good ? 'Nothing failed.' : 'Ops with failures:');
  for (const line of failures.lines()) console.log(line);
  process.exitCode = good ? 0 : 1;
}

/** One execution on plain memory; its results are read, so that it has run. */
async function executeOnce(device, { op, attrs }, { inputs }, strategy) {
  const made = [];
  const tensors = inputs.map((input) => {
    if (input === undefined) return undefined;
    const { base, tensor } = uploadInput(device, input);
    made.push(base, tensor);
    return tensor;
  });
  try {
    const outputs = device.execute(op, tensors, attrs, strategy);
    made.push(...outputs);
    for (const output of outputs) await output.data();
    return true;
  } catch (error) {
    if (strategy !== undefined && error instanceof UnsupportedOpError) return false;
    throw error;
  } finally {
    for (const tensor of new Set(made)) tensor.dispose();
  }
}

/** Every small case of an op in every dtype, by each strategy, one execution at a time. */
function* smallWork(device, op, cases) {
  for (const testCase of cases) {
    for (const dtype of caseDTypes(testCase, device.info.dtypes)) {
      const prepared = prepareCase(testCase, dtype);
      const tensors = [...prepared.inputs, ...prepared.outputs].filter(
        (spec) => spec !== undefined,
      );
      if (tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0) > SMALL_ELEMENTS) continue;
      for (const strategy of [
        undefined,
        ...(device.backend.kernel(testCase.op)?.strategies ?? []),
      ]) {
        const label = `${op} / ${testCase.name} (${[dtype, strategy].filter(Boolean).join(', ')})`;
        yield { label, run: () => executeOnce(device, testCase, prepared, strategy) };
      }
    }
  }
}

async function sanitize() {
  const device = await createCudaDevice({ development: true });
  console.log(device.info.description);
  const end = performance.now() + Number(options.get('minutes') ?? 2.5) * 60_000;
  const queues = [...casesByOp()].map(([op, cases]) => smallWork(device, op, cases));
  let [executed, refused, failed] = [0, 0, 0];
  for (let turns = queues; turns.length > 0;) {
    const left = [];
    for (const queue of turns) {
      const { value, done } = queue.next();
      if (done) continue;
      left.push(queue);
      if (performance.now() > end) continue;
      try {
        if (await value.run()) executed++;
        else refused++;
      } catch (error) {
        failed++;
        console.log(`FAILED ${value.label}: ${error.message}`);
        if (error.name === 'DeviceLostError') process.exit(1);
      }
    }
    if (performance.now() > end) {
      console.log(`Time is up: ${left.length} of ${ops.length} ops have cases left.`);
      break;
    }
    turns = left;
  }
  device.dispose();
  console.log(`${executed} executed, ${refused} refused by their strategy, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

const { count, reason } = probeCuda();
if (count === 0) {
  console.log(reason);
  process.exitCode = 1;
} else if (options.has('from')) await serve(Number(options.get('from')));
else if (options.has('sanitize')) await sanitize();
else await conform();
