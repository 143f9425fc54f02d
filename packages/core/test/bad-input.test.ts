import { describe, expect, test } from 'vitest';
import {
  coreOps,
  createCpuDevice,
  DTypeError,
  ShapeError,
  type Op,
  type Tensor,
} from '@pergola/core';
import {
  badInputCases,
  checkBadInput,
  coreCases,
  type BadInputCase,
} from '@pergola/core/conformance';
import { wrappedDevice } from './wrapped-backend.ts';

const cases = coreCases();

function badCases(op: Op): BadInputCase[] {
  const first = cases.find((testCase) => testCase.op === op)!;
  return badInputCases(op, first);
}

describe('bad input meets one sentence before any device work', () => {
  test.each(coreOps().map((op) => [op.name, op] as const))('%s', async (_, op) => {
    const device = await createCpuDevice();
    const problems: string[] = [];
    for (const bad of badCases(op)) {
      const problem = await checkBadInput(device, bad);
      if (problem !== '') problems.push(`${op.name} with ${bad.name}: ${problem}`);
    }
    expect(problems).toEqual([]);
    device.dispose();
  });
});

test('every op has bad cases, and extents are tied to each other except where an index may be of any length', () => {
  const untied: string[] = [];
  for (const op of coreOps()) {
    const bad = badCases(op);
    expect(bad.length, op.name).toBeGreaterThan(1);
    const { inputs } = cases.find((testCase) => testCase.op === op)!;
    for (const [i, input] of inputs.entries()) {
      const slot = op.inputs[i] ?? op.inputs.at(-1)!;
      const tied = bad.some(({ name, errors }) => {
        return name.startsWith(`${slot.name} of shape`) && errors.length === 2;
      });
      if (input !== undefined && inputs.length > 1 && !tied) untied.push(`${op.name}.${slot.name}`);
    }
  }
  expect(untied).toEqual(['gather.x', 'gather.index']);
});

/** An op that adds two vectors, careless as the test wants it. */
function careless(infer: Op['infer']): BadInputCase {
  const slots = ['a', 'b'].map((name) => ({ name, dtypes: ['f32', 'f16'] as const }));
  const op: Op = { name: 'careless', family: 'test', inputs: slots, infer, reference: () => {} };
  const input = { shape: [4], dtype: 'f32', fill: { kind: 'normal' } } as const;
  const inputs = [input, { ...input, shape: [5] }];
  return { op, name: 'b of shape [5]', inputs, attrs: {}, errors: [ShapeError] };
}

test('the check itself finds accepted calls, wrong classes, unclear messages and early work', async () => {
  const device = await createCpuDevice();
  const check = (infer: Op['infer']): Promise<string> => checkBadInput(device, careless(infer));
  const throwing = (error: Error): Promise<string> =>
    check(() => {
      throw error;
    });
  expect(await check(([a]) => [a!])).toBe('must be refused, was run');
  expect(await throwing(new TypeError('a is undefined'))).toBe(
    'must throw ShapeError, got TypeError: a is undefined',
  );
  expect(await throwing(new DTypeError('careless: b must be f32, got f16.'))).toMatch(
    /^must throw ShapeError, got DTypeError/,
  );
  const unclear = [
    'wrong shape',
    'careless: b is wrong',
    'careless: b is wrong. Make it right.',
    'careless: b is\nwrong.',
    'other: b must be [4], got [5].',
  ];
  for (const message of unclear) {
    expect(await throwing(new ShapeError(message))).toMatch(/^must throw one sentence/);
  }
  expect(await throwing(new ShapeError('careless: b must be [4], got [5].'))).toBe('');
  const early = await check(([a]) => {
    (a as Tensor).device.scalar(1);
    throw new ShapeError('careless: b must be [4], got [5].');
  });
  expect(early).toBe('must not reach the device, did');
  const keeping = await check(([a]) => {
    (a as Tensor).alias();
    throw new ShapeError('careless: b must be [4], got [5].');
  });
  expect(keeping).toBe('1 buffers (16 bytes) were not freed');
  device.dispose();
});

test('calls with dtypes that a device does not hold cannot be made', async () => {
  const device = await wrappedDevice({ info: { dtypes: ['f32'] } });
  const bad = badCases(coreOps().find(({ name }) => name === 'linear')!);
  const half = bad.find(({ name }) => name === 'x of f16')!;
  expect(await checkBadInput(device, half)).toBe('');
});
