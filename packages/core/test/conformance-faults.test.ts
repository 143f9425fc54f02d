import { expect, test } from 'vitest';
import {
  addOp,
  bytesPerElement,
  castOp,
  coreOps,
  fullOp,
  mul,
  negOp,
  softmaxOp,
  sizeOf,
  UnsupportedOpError,
  type CpuBuffer,
  type CpuContext,
  type Kernel,
  type KernelCall,
  type Op,
} from '@pergola/core';
import {
  conformanceCase,
  coreCases,
  describeResult,
  floats,
  opsWithoutCases,
  prepareCase,
  quickCases,
  runCase,
  runConformance,
  type CaseResult,
  type ConformanceCase,
} from '@pergola/core/conformance';
import { hostKernel, wrappedDevice, type Hooks, type WrappedBackend } from './wrapped-backend.ts';

const negCase = coreCases().filter(({ op }) => op === negOp);

async function failures(
  hooks: Hooks,
  cases: readonly ConformanceCase[] = negCase,
): Promise<string> {
  const device = await wrappedDevice(hooks);
  const { results, failed } = await runConformance(device, cases);
  expect(device.backend.calls.allocate).toBeGreaterThan(0);
  device.dispose();
  expect(results.filter(({ status }) => status === 'failed').length).toBe(failed);
  return results
    .filter(({ status }) => status === 'failed')
    .map(describeResult)
    .join('\n');
}

test('a sound backend passes', async () => {
  expect(await failures({})).toBe('');
});

test('a write past the end is found', async () => {
  const text = await failures({
    afterReference(backend, call, _inputs, outputs) {
      const { dtype, shape } = call.outputs[0]!;
      const end = Math.ceil((sizeOf(shape) * bytesPerElement(dtype)) / 4) * 4;
      backend.upload(outputs[0]!.buffer, end, Uint8Array.of(0, 0, 0, 0));
    },
  });
  expect(text).toContain(
    'neg / plain (f32): memory was written 0 bytes past the end of a buffer of 140 bytes',
  );
});

test('a write before the start is found, also in a call without inputs', async () => {
  const text = await failures(
    {
      afterReference(backend, _call, _inputs, outputs) {
        const { address } = outputs[0]!.buffer as CpuBuffer;
        (backend.context as CpuContext).memory.bytes[address - 1] = 0;
      },
    },
    coreCases().filter(({ op }) => op === negOp || op === fullOp),
  );
  expect(text).toMatch(/neg \/ plain \(f32\): memory was written 1\d\d\d bytes past the end/);
  expect(text).toMatch(/full \/ f32 \(f32\): memory was written 1\d\d\d bytes past the end/);
});

test('an element that is never written is found', async () => {
  const text = await failures({
    beforeReference(backend, call, outputs) {
      const output = backend.view(call.outputs[0]!, outputs[0]!);
      const before = output.at(-1);
      return () => {
        if (before !== undefined) output[output.length - 1] = before;
      };
    },
  });
  expect(text).toMatch(/neg \/ plain \(f32\): 1 of 35 elements differ in class .*got NaN/);
  expect(text).toMatch(/neg \/ i32 extremes .*output 0 differs between two equal calls/);
});

test('stale results of an earlier call are found', async () => {
  let kept: number | undefined;
  const text = await failures({
    afterReference(backend, call, _inputs, outputs) {
      const output = backend.view(call.outputs[0]!, outputs[0]!);
      const fresh = output[0];
      if (kept !== undefined) output[0] = kept;
      kept = fresh;
    },
  });
  expect(text).not.toBe('');
});

test('a swallowed NaN is found', async () => {
  const text = await failures({
    afterReference(backend, call, _inputs, outputs) {
      if (call.outputs[0]?.dtype !== 'f32') return;
      const output = backend.view(call.outputs[0], outputs[0]!);
      output.forEach((value, i) => {
        if (Number.isNaN(value)) output[i] = 0;
      });
    },
  });
  expect(text).toMatch(/neg \/ awkward values \(f32\): \d+ of 63 elements differ in class/);
  expect(text).not.toContain('neg / plain');
});

test('a small systematic error is found and shown by position', async () => {
  const text = await failures({
    afterReference(backend, call, _inputs, outputs) {
      if (call.outputs[0]?.dtype !== 'f32') return;
      const output = backend.view(call.outputs[0], outputs[0]!);
      for (let i = 0; i < output.length; i++) output[i]! *= 1.001;
    },
  });
  expect(text).toMatch(/neg \/ plain \(f32\): NMSE 1\.00e-6 exceeds 0\.00e\+0; maximal error/);
  expect(text).toMatch(/\[0, 4\] expected \S+ got \S+ and 30 more$/m);
  expect(text.split('\n')[0]).not.toContain('[0, 5]');
});

test('device memory that a kernel keeps is found', async () => {
  const text = await failures({ afterReference: (backend) => void backend.allocate(64) });
  expect(text).toContain('neg / plain (f32): the kernel kept 64 bytes of device memory');
});

test('results that change from call to call are found', async () => {
  let calls = 0;
  const text = await failures(
    {
      afterReference(backend, call, _inputs, outputs) {
        if (call.outputs[0]?.dtype !== 'f32' || sizeOf(call.outputs[0].shape) === 0) return;
        backend.view(call.outputs[0], outputs[0]!)[0]! *= 1 + (calls++ % 2) * 2e-6;
      },
    },
    coreCases().filter(({ op }) => op === softmaxOp),
  );
  expect(text).toContain('softmax / last axis (f32): output 0 differs between two equal calls');
});

test('a NaN may have other bits in the next call', async () => {
  let calls = 0;
  let changed = 0;
  const text = await failures({
    afterReference(backend, call, _inputs, outputs) {
      if (call.outputs[0]?.dtype !== 'f32') return;
      const output = backend.view(call.outputs[0], outputs[0]!) as Float32Array;
      const bits = new Uint32Array(output.buffer, output.byteOffset, output.length);
      const quiet = calls++ % 2 === 0 ? 0x7fc00000 : 0xffc00001;
      output.forEach((value, i) => {
        if (!Number.isNaN(value)) return;
        bits[i] = quiet;
        changed++;
      });
    },
  });
  expect(text).toBe('');
  expect(changed).toBeGreaterThan(0);
});

test('a write to an input is found', async () => {
  const text = await failures({
    afterReference(backend, call, inputs) {
      const input = call.inputs[0];
      if (input === undefined || sizeOf(input.shape) === 0) return;
      backend.view(input, inputs[0]!)[0] = 0;
    },
  });
  expect(text).toContain('neg / plain (f32): input 0 was overwritten');
});

test('an exception is a failure with its message', async () => {
  const text = await failures({
    afterReference() {
      throw new Error('the driver is on fire');
    },
  });
  expect(text).toContain('neg / plain (f32): Error: the driver is on fire');
});

const strategies: readonly string[] = ['right', 'wrong', 'picky'];

test('each strategy is run: a wrong one fails alone, an unsuitable one is skipped', async () => {
  let backend: WrappedBackend | undefined;
  const kernel = (op: Op): Kernel => ({
    ...hostKernel(op, () => backend!),
    strategies,
    prepare(call, _context, strategy) {
      if (strategy === 'picky') throw new UnsupportedOpError(`${op.name}: needs even rows.`);
      return { call, strategy };
    },
    run(plan, inputs, outputs) {
      const { call, strategy } = plan as { call: KernelCall; strategy: string | undefined };
      backend!.runReference(op, call, inputs, outputs);
      if (strategy === 'wrong') backend!.view(call.outputs[0]!, outputs[0]!).fill(0);
    },
  });
  const device = await wrappedDevice({ kernel });
  ({ backend } = device);
  const results = await runCase(device, negCase[0]!);
  const by = (strategy: string | undefined): CaseResult[] =>
    results.filter((result) => result.strategy === strategy);
  expect(results.length).toBe(12);
  expect(by(undefined).every(({ status }) => status === 'passed')).toBe(true);
  expect(by('right').every(({ status, path }) => status === 'passed' && path === 'kernel')).toBe(
    true,
  );
  expect(by('wrong').every(({ status }) => status === 'failed')).toBe(true);
  expect(by('picky').every(({ status }) => status === 'skipped')).toBe(true);
  expect(by('picky')[0]?.message).toBe('neg: needs even rows.');
});

/** An op whose decomposition is as given. */
function decomposing(decompose: NonNullable<Op['decompose']>): ConformanceCase {
  const op: Op = {
    name: 'twice',
    family: 'test',
    inputs: [{ name: 'x', dtypes: ['f32', 'f16', 'bf16'] }],
    infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
    reference([x], _attrs, [out]) {
      for (let i = 0; i < out!.data.length; i++) out!.data[i] = 2 * x!.data[i]!;
    },
    decompose,
  };
  return conformanceCase(op, 'plain', [floats([3, 4])], {});
}

async function runDecomposing(decompose: NonNullable<Op['decompose']>): Promise<CaseResult> {
  let backend: WrappedBackend | undefined;
  const kernel = (op: Op): Kernel | undefined =>
    op.decompose === undefined ? hostKernel(op, () => backend!) : undefined;
  const device = await wrappedDevice({ kernel, hasReference: false });
  ({ backend } = device);
  return (await runCase(device, decomposing(decompose)))[0]!;
}

test('decompositions are judged like kernels', async () => {
  const right = await runDecomposing(([x]) => [mul(x!, 2)]);
  expect(right).toMatchObject({ status: 'passed', path: 'decomposition', dtype: 'f32' });
  const wrongShape = await runDecomposing(([x]) => [mul(x!, 2).reshape(12)]);
  expect(wrongShape.message).toBe('output 0 was declared f32[3, 4], got f32[12]');
  const leaking = await runDecomposing(([x]) => [mul(mul(x!, 1).keep(), 2)]);
  expect(leaking.message).toBe('1 buffers (48 bytes) were not freed');
  const tooMany = await runDecomposing(([x]) => [mul(x!, 2), mul(x!, 3)]);
  expect(tooMany.message).toBe('1 outputs were declared, got 2');
});

test('every decomposition in the catalogue conforms', async () => {
  let backend: WrappedBackend | undefined;
  const kernel = (op: Op): Kernel | undefined =>
    op.decompose === undefined ? hostKernel(op, () => backend!) : undefined;
  const device = await wrappedDevice({ kernel, hasReference: false });
  ({ backend } = device);
  const { results, failed } = await runConformance(device, coreCases(), {
    filter: ({ op }) => op.decompose !== undefined,
  });
  expect(results.filter(({ status }) => status === 'failed').map(describeResult)).toEqual([]);
  expect(failed).toBe(0);
  const decomposed = new Set(results.map(({ op }) => op));
  expect(decomposed.size).toBe(coreOps().filter((op) => op.decompose !== undefined).length);
  expect(results.every(({ path }) => path !== 'reference')).toBe(true);
});

test('dtypes that a device does not hold are skipped, not failed', async () => {
  const device = await wrappedDevice({ info: { dtypes: ['f32', 'i32', 'bool'] } });
  const { results, failed, skipped } = await runConformance(device, coreCases(), {
    filter: ({ op }) => op === castOp || op === addOp,
  });
  expect(failed).toBe(0);
  expect(skipped).toBeGreaterThan(20);
  const skippedResult = results.find(({ status }) => status === 'skipped');
  expect(skippedResult?.message).toMatch(/^wrapped holds no (f16|bf16|u8|u32)$/);
  expect(results.some(({ dtype }) => dtype === 'f16')).toBe(true);
});

test('exclusions turn named failures into excluded results, with their reason', async () => {
  const device = await wrappedDevice({
    afterReference(backend, call, _inputs, outputs) {
      backend.view(call.outputs[0]!, outputs[0]!).fill(0);
    },
  });
  const exclusions = [
    { op: 'neg', case: 'plain', dtype: 'f16', reason: 'no half arithmetic here' },
    { op: 'neg', case: 'sliced', reason: 'strides are ignored' },
  ] as const;
  const heard: CaseResult[] = [];
  const report = await runConformance(device, negCase, {
    exclusions,
    onResult: (result) => heard.push(result),
  });
  expect(heard).toEqual(report.results);
  expect(report.excluded).toBe(4);
  const excluded = report.results.find(({ status }) => status === 'excluded');
  expect(excluded?.message).toMatch(/^no half arithmetic here \(.+\)$/);
  expect(report.failed).toBeGreaterThan(0);
});

test('the quick cut has two cases of each op, and stops when it is told to', async () => {
  const cases = coreCases();
  const quick = quickCases(cases);
  expect(opsWithoutCases(coreOps(), quick)).toEqual([]);
  expect(quick.length).toBe(2 * coreOps().length);
  const device = await wrappedDevice();
  const stop = new AbortController();
  const run = runConformance(device, cases, {
    quick: true,
    signal: stop.signal,
    onResult: () => stop.abort(new Error('enough')),
  });
  await expect(run).rejects.toThrow('enough');
});

test('an op without cases is named', () => {
  expect(opsWithoutCases([negOp, softmaxOp], negCase)).toEqual(['softmax']);
});

test('cases are well formed: unique names, inputs that pass the checks, a cost', () => {
  const names = new Set<string>();
  for (const testCase of coreCases()) {
    const name = `${testCase.op.name} / ${testCase.name}`;
    expect(names.has(name), name).toBe(false);
    names.add(name);
    const { cost, outputs } = prepareCase(testCase, 'f32');
    expect(outputs.length).toBeGreaterThan(0);
    expect(cost.flops, name).toBeGreaterThanOrEqual(0);
    expect(cost.bytes, name).toBeGreaterThanOrEqual(0);
  }
});
