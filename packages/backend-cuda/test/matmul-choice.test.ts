/** The choice among the strategies of matmul and linear, without a device. */
import { contiguousStrides, type DType, type LinearAttrs, type TensorLayout } from '@pergola/core';
import { expect, test } from 'vitest';
import type { CudaContext } from '../src/kernel.ts';
import { linearKernel, matmulKernel } from '../src/kernels/matmul.ts';
import { stubContext } from './stub-context.ts';

const STRATEGIES = ['cublaslt', 'wgmma', 'mma', 'tiled'];
const ABSENT = 'libcublasLt was not found';

function context(capability: number, productObstacle: string): CudaContext {
  return { ...stubContext(capability).context, productObstacle };
}

function layout(dtype: DType, shape: readonly number[], turned = false): TensorLayout {
  const strides = turned ? [1, shape[0]!] : contiguousStrides(shape);
  return { dtype, shape, strides, contiguous: !turned };
}

/** The last word of the parameter block. */
function strategyIn(params: Uint8Array): string {
  const at = params.byteOffset + params.byteLength - 4;
  return STRATEGIES[new DataView(params.buffer).getInt32(at, true)]!;
}

interface Case {
  readonly dtype: DType;
  readonly depth?: number;
  readonly capability?: number;
  readonly obstacle?: string;
}

function linearStrategy(
  { dtype, depth = 64, capability = 90, obstacle = ABSENT }: Case,
  forced?: string,
): string {
  const attrs: LinearAttrs = { activation: 'geluTanh' };
  const call = {
    inputs: [layout(dtype, [10, depth]), layout(dtype, [24, depth]), undefined],
    outputs: [{ dtype, shape: [10, 24] }],
    attrs,
  };
  return strategyIn(linearKernel.prepare(call, context(capability, obstacle), forced).params);
}

function matmulStrategy(left: TensorLayout, right: TensorLayout): string {
  const outputs = [{ dtype: left.dtype, shape: [left.shape[0]!, right.shape[1]!] }];
  const call = { inputs: [left, right], outputs, attrs: {} };
  const { products } = matmulKernel.prepare(call, context(90, ABSENT), undefined);
  return strategyIn(products[0]!.plan.params);
}

test('cuBLASLt where it is', () => {
  for (const dtype of ['f32', 'f16', 'bf16'] as const) {
    expect(linearStrategy({ dtype, obstacle: '' })).toBe('cublaslt');
  }
});

test('without it, the tensor cores for half types in whole units', () => {
  expect(linearStrategy({ dtype: 'f16' })).toBe('wgmma');
  expect(linearStrategy({ dtype: 'bf16', capability: 80 })).toBe('mma');
  expect(linearStrategy({ dtype: 'f16', depth: 60 })).toBe('tiled');
  expect(linearStrategy({ dtype: 'f32' })).toBe('tiled');
});

test('operands are read as they are stored', () => {
  const left = layout('f16', [32, 64]);
  const right = layout('f16', [64, 16]);
  expect(matmulStrategy(left, layout('f16', [64, 16], true))).toBe('wgmma');
  expect(matmulStrategy(left, right)).toBe('mma');
  expect(matmulStrategy(layout('f16', [32, 64], true), right)).toBe('tiled');
  expect(matmulStrategy(left, layout('f16', [64, 12]))).toBe('tiled');
});

test('a forced strategy that cannot serve a call says why', () => {
  expect(linearStrategy({ dtype: 'f16', obstacle: '' }, 'mma')).toBe('mma');
  expect(() => linearStrategy({ dtype: 'f16' }, 'cublaslt')).toThrow(
    `linear: strategy cublaslt cannot serve this call: ${ABSENT}.`,
  );
  expect(() => linearStrategy({ dtype: 'f32' }, 'wgmma')).toThrow('it serves half types.');
  expect(() => linearStrategy({ dtype: 'f16', depth: 60 }, 'mma')).toThrow(
    'rows must be multiples of 8.',
  );
  expect(() => linearStrategy({ dtype: 'f16', capability: 86 }, 'wgmma')).toThrow(
    'it needs compute capability 9.0.',
  );
});
