/** The sparse ops against numbers of the published reference implementation. */
import type { Device, Tensor } from '@pergola/core';
import {
  downsampleFeats,
  sparseAttention,
  sparseCrossAttention,
  sparseGroupNorm,
  SparseStructure,
  subdivideFeats,
  submConv3d,
  upsampleFeats,
  windowAttention,
  windowAttentionPacked,
} from '@pergola/sparse';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTestDevice } from '../../../testdata/device.ts';
import { synthInput, synthParameter, unitValues } from '../../../testdata/synthetic.ts';
import { golden, relativeL2 } from './golden.ts';

const TOLERANCE = 1e-5;
let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

function input(name: string, shape: number[]): Tensor {
  return device.tensor(synthInput(name, shape), shape);
}

function parameter(name: string, shape: number[]): Tensor {
  return device.tensor(synthParameter(name, shape), shape);
}

async function structureOf(set: string): Promise<SparseStructure> {
  const { shape, data } = await golden(`coords/${set}`);
  return SparseStructure.create(device.tensor(data, shape));
}

async function expectGolden(result: Tensor, name: string): Promise<void> {
  const { shape, data } = await golden(name);
  expect(result.shape).toEqual(shape);
  if (data instanceof Int32Array) expect(await result.values()).toEqual(data);
  else expect(relativeL2(await result.floats(), data)).toBeLessThan(TOLERANCE);
}

test('the synthetic-value rule gives its check vector', async () => {
  const { data } = await golden('synth/unit');
  expect(Float32Array.from(unitValues('check', 8))).toEqual(Float32Array.from(data));
  expect(synthParameter('a.weight', [4, 3])).toEqual((await golden('synth/a.weight')).data);
  expect(synthParameter('a.bias', [3])).toEqual((await golden('synth/a.bias')).data);
  expect(synthParameter('norm.gamma', [2, 2])).toEqual((await golden('synth/norm.gamma')).data);
  expect(synthInput('x', 5)).toEqual((await golden('synth/x')).data);
});

describe.each(['A', 'P'])('coordinate set %s', (set) => {
  test.each([
    [3, 1],
    [3, 2],
    [1, 1],
    [5, 1],
  ])('submanifold convolution k=%i d=%i', async (kernelSize, dilation) => {
    const structure = await structureOf(set);
    const x = input('subm.x', [structure.count, 16]);
    const weight = parameter(`subm${kernelSize}.weight`, [
      24,
      kernelSize,
      kernelSize,
      kernelSize,
      16,
    ]);
    const bias = parameter(`subm${kernelSize}.bias`, [24]);
    const map = await structure.kernelMap({ kernelSize, dilation });
    await expectGolden(
      submConv3d(x, weight, bias, map, { pointwiseWeight: 'reinterpreted' }),
      `subm_conv_k${kernelSize}_d${dilation}_${set}/out`,
    );
  });

  test('downsampling with divisor count + 1, and back up', async () => {
    const structure = await structureOf(set);
    const x = input('down.x', [structure.count, 12]);
    const d = await structure.downsample(2);
    const pooled = downsampleFeats(x, d, { divisor: 'count+1' });
    await expectGolden(d.structure.coords, `downsample2_${set}/coords`);
    await expectGolden(pooled, `downsample2_${set}/feats`);
    await expectGolden(upsampleFeats(pooled, d), `downsample2_${set}/up_feats`);
    await expectGolden(structure.coords, `downsample2_${set}/up_coords`);
  });

  test('subdividing', async () => {
    const structure = await structureOf(set);
    const fine = await structure.subdivide();
    await expectGolden(fine.coords, `subdivide_${set}/coords`);
    const x = input('down.x', [structure.count, 12]);
    await expectGolden(subdivideFeats(x), `subdivide_${set}/feats`);
  });

  test('group norm', async () => {
    const structure = await structureOf(set);
    const x = input('down.x', [structure.count, 12]);
    const [weight, bias] = [parameter('gn.weight', [12]), parameter('gn.bias', [12])];
    const out = sparseGroupNorm(x, weight, bias, structure.offsets, { groups: 4 });
    await expectGolden(out, `groupnorm_${set}/out`);
  });

  test('full attention', async () => {
    const structure = await structureOf(set);
    const [q, k, v] = input('attn.qkv', [structure.count, 3, 4, 16]).unbind(1);
    await expectGolden(sparseAttention(q!, k!, v!, structure), `attn_full_${set}/out`);
  });

  test('cross attention to a dense context', async () => {
    const structure = await structureOf(set);
    const q = input('attn.q', [structure.count, 4, 80]);
    const [k, v] = input('attn.kv', [2, 11, 2, 4, 80]).unbind(2);
    await expectGolden(sparseCrossAttention(q, k!, v!, structure), `attn_cross_${set}/out`);
  });

  test.each([0, 2])('windowed attention, window 4, shift %i', async (shift) => {
    const structure = await structureOf(set);
    const qkv = input('attn.qkv', [structure.count, 3, 4, 16]);
    const partition = await structure.windows({ size: 4, shift });
    const name = `attn_window4_shift${shift}_${set}/out`;
    await expectGolden(windowAttentionPacked(qkv, partition), name);
    const [q, k, v] = qkv.unbind(1);
    await expectGolden(windowAttention(q!, k!, v!, partition), name);
  });
});

test('a pointwise kernel read conventionally is the product with its [Cout, Cin] matrix', async () => {
  const x = input('p.x', [7, 5]);
  const weight = parameter('p.weight', [3, 1, 1, 1, 5]);
  const out = submConv3d(x, weight, undefined, undefined);
  const [rows, buffer] = [synthInput('p.x', 35), synthParameter('p.weight', [3, 1, 1, 1, 5])];
  const expected = Float32Array.from({ length: 21 }, (_, at) => {
    const [row, o] = [Math.floor(at / 3), at % 3];
    let sum = 0;
    for (let i = 0; i < 5; i++) sum += rows[row * 5 + i]! * buffer[o * 5 + i]!;
    return sum;
  });
  expect(relativeL2(await out.floats(), expected)).toBeLessThan(1e-6);
});
