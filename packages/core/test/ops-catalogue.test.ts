import { expect, test } from 'vitest';
import * as core from '@pergola/core';
import { coreOps, type Op } from '@pergola/core';

function isOp(value: unknown): value is Op {
  return typeof value === 'object' && value !== null && 'infer' in value && 'reference' in value;
}

test('the table lists every exported op once, under its own name', () => {
  const exported = Object.entries(core).flatMap(([name, value]) =>
    isOp(value) ? [[name, value] as const] : [],
  );
  for (const [name, op] of exported) expect(name).toBe(`${op.name}Op`);
  const names = coreOps().map((op) => op.name);
  expect(new Set(names).size).toBe(names.length);
  expect([...names].sort()).toEqual(exported.map(([, op]) => op.name).sort());
});

test('only the last slot is variadic, and optional slots follow required ones', () => {
  for (const op of coreOps()) {
    const variadic = op.inputs.findIndex((slot) => slot.variadic === true);
    expect(variadic === -1 || variadic === op.inputs.length - 1).toBe(true);
    const firstOptional = op.inputs.findIndex((slot) => slot.optional === true);
    const rest = firstOptional < 0 ? [] : op.inputs.slice(firstOptional);
    expect(rest.every((slot) => slot.optional === true)).toBe(true);
  }
});

test('a call without its inputs names what is missing', () => {
  for (const op of coreOps()) {
    const required = op.inputs.filter((slot) => slot.optional !== true);
    if (required.length === 0) continue;
    expect(() => core.inferOutputs(op, [], {})).toThrow(`${required[0]!.name} is required`);
  }
});

test('costs count arithmetic and every byte once', () => {
  const f16 = (...shape: number[]) => ({ dtype: 'f16' as const, shape });
  const i32 = (...shape: number[]) => ({ dtype: 'i32' as const, shape });
  const cost = <Attrs extends object>(
    op: Op<Attrs>,
    inputs: ReturnType<typeof f16>[],
    attrs: Attrs,
  ) => op.cost!(inputs, attrs, core.inferOutputs(op, inputs, attrs));
  expect(cost(core.matmulOp, [f16(3, 4, 5), f16(5, 6)], {})).toEqual({
    flops: 2 * 3 * 4 * 5 * 6,
    bytes: 2 * (60 + 30 + 72),
  });
  expect(cost(core.addOp, [f16(8)], { scalar: 1 })).toEqual({ flops: 8, bytes: 32 });
  const conv = { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 2 } as const;
  const layout = 'channelsFirst' as const;
  expect(cost(core.conv2dOp, [f16(1, 4, 5, 5), f16(6, 2, 3, 3)], { ...conv, layout })).toEqual({
    flops: 2 * 2 * 9 * 6 * 25,
    bytes: 2 * (100 + 108 + 150),
  });
  const attention = { maxQ: 4, maxK: 4, causal: false, scale: 1 };
  const packed = [f16(8, 2, 16), f16(8, 2, 16), f16(8, 2, 16), i32(3), i32(3)] as never;
  expect(cost(core.attentionOp, packed, attention).flops).toBe(8 * 2 * 4 * (4 * 16 + 4));
});
