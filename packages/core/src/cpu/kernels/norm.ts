/** Layer, root-mean-square, group and head norms, the fused rows of diffusion transformers, and softmax, in f32. */
import type { KernelCall } from '../../backend.ts';
import { QK_NORM_FLOOR, type LayerNormModulateAttrs } from '../../ops/norm-fused.ts';
import type { GroupNormAttrs, LayerNormAttrs } from '../../ops/norm.ts';
import type { SoftmaxAttrs } from '../../ops/softmax.ts';
import { sizeOf } from '../../shape.ts';
import { addressOf, onlyF32, type CpuBinding, type CpuKernel } from '../context.ts';
import { floatWord } from '../pool.ts';
import { wasm } from '../wasm/norm.generated.ts';

const GRAIN_ELEMENTS = 16_384;

function optionalAddress(binding: CpuBinding | undefined): number {
  return binding === undefined ? 0 : addressOf(binding, 'f32');
}

interface RowsPlan {
  readonly rows: number;
  readonly channels: number;
}

function planRows({ inputs }: KernelCall): RowsPlan {
  const { shape } = inputs[0]!;
  const channels = shape[shape.length - 1]!;
  return { rows: sizeOf(shape) / channels, channels };
}

interface NormPlan extends RowsPlan {
  readonly eps: number;
}

function rowNormKernel(op: string, subtractMean: boolean): CpuKernel<LayerNormAttrs, NormPlan> {
  return {
    op,
    supports: ({ inputs }) => onlyF32(inputs),
    prepare: (call) => ({ ...planRows(call), eps: call.attrs.eps }),
    run({ rows, channels, eps }, [x, weight, bias], [out], context) {
      const words = [
        ...[addressOf(x!, 'f32'), optionalAddress(weight), optionalAddress(bias)],
        ...[addressOf(out!, 'f32'), channels, floatWord(eps), Number(subtractMean)],
      ];
      context.pool.run(wasm, 'normRows', words, rows, GRAIN_ELEMENTS / channels);
    },
  };
}

export const layerNormKernel: CpuKernel<LayerNormAttrs, NormPlan> = rowNormKernel(
  'layerNorm',
  true,
);

export const rmsNormKernel: CpuKernel<LayerNormAttrs, NormPlan> = rowNormKernel('rmsNorm', false);

interface GroupNormPlan extends GroupNormAttrs {
  readonly batch: number;
  readonly channels: number;
  readonly positions: number;
}

export const groupNormKernel: CpuKernel<GroupNormAttrs, GroupNormPlan> = {
  op: 'groupNorm',
  supports: ({ inputs }) => onlyF32(inputs),
  prepare({ inputs: [x], attrs }) {
    const [batch, channels] = x!.shape as [number, number];
    return {
      ...attrs,
      batch,
      channels: channels / attrs.groups,
      positions: sizeOf(x!.shape.slice(2)),
    };
  },
  run({ batch, groups, eps, channels, positions }, [x, weight, bias], [out], context) {
    const words = [
      ...[addressOf(x!, 'f32'), optionalAddress(weight), optionalAddress(bias)],
      ...[addressOf(out!, 'f32'), groups, floatWord(eps), channels, positions],
    ];
    const grain = GRAIN_ELEMENTS / (channels * positions);
    context.pool.run(wasm, 'normGroups', words, batch * groups, grain);
  },
};

interface HeadsPlan {
  readonly rows: number;
  readonly heads: number;
  readonly dimension: number;
  readonly strides: readonly number[];
}

export const qkNormKernel: CpuKernel<object, HeadsPlan> = {
  op: 'qkNorm',
  supports: ({ inputs }) => onlyF32(inputs),
  acceptsStrides: ({ inputs: [x, gamma] }) =>
    (x!.strides[2] === 1 || x!.shape[2] === 1) && gamma!.contiguous,
  prepare({ inputs: [x] }) {
    const [rows, heads, dimension] = x!.shape as [number, number, number];
    return { rows, heads, dimension, strides: x!.strides };
  },
  run({ rows, heads, dimension, strides }, [x, gamma], [out], context) {
    const words = [
      ...[addressOf(x!, 'f32'), addressOf(gamma!, 'f32'), addressOf(out!, 'f32'), heads],
      ...[dimension, strides[0]! * 4, strides[1]! * 4, floatWord(QK_NORM_FLOOR)],
    ];
    context.pool.run(wasm, 'normHeads', words, rows, GRAIN_ELEMENTS / (heads * dimension));
  },
};

interface ModulatePlan extends NormPlan {
  readonly elements: number;
  readonly activate: boolean;
}

export const layerNormModulateKernel: CpuKernel<LayerNormModulateAttrs, ModulatePlan> = {
  op: 'layerNormModulate',
  supports: ({ inputs }) => onlyF32(inputs.slice(0, 3)),
  prepare: (call) => ({
    ...planRows(call),
    eps: call.attrs.eps,
    elements: call.inputs[3]!.shape[0]! - 1,
    activate: call.attrs.activation === 'silu',
  }),
  run({ rows, channels, eps, elements, activate }, [x, shift, scale, offsets], [out], context) {
    const words = [
      ...[addressOf(x!, 'f32'), addressOf(shift!, 'f32'), addressOf(scale!, 'f32')],
      ...[addressOf(out!, 'f32'), channels, floatWord(eps), addressOf(offsets!, 'i32')],
      ...[elements, Number(activate)],
    ];
    context.pool.run(wasm, 'normModulate', words, rows, GRAIN_ELEMENTS / channels);
  },
};

interface GatedPlan extends RowsPlan {
  readonly elements: number;
}

export const gatedResidualKernel: CpuKernel<object, GatedPlan> = {
  op: 'gatedResidual',
  supports: ({ inputs }) => onlyF32(inputs.slice(0, 3)),
  prepare: (call) => ({ ...planRows(call), elements: call.inputs[3]!.shape[0]! - 1 }),
  run({ rows, channels, elements }, [x, h, gate, offsets], [out], context) {
    const words = [
      ...[addressOf(x!, 'f32'), addressOf(h!, 'f32'), addressOf(gate!, 'f32')],
      ...[addressOf(out!, 'f32'), channels, addressOf(offsets!, 'i32'), elements],
    ];
    context.pool.run(wasm, 'gatedResidual', words, rows, (2 * GRAIN_ELEMENTS) / channels);
  },
};

export const softmaxKernel: CpuKernel<SoftmaxAttrs, RowsPlan> = {
  op: 'softmax',
  supports({ inputs, attrs: { axis } }) {
    const { shape } = inputs[0]!;
    if (sizeOf(shape.slice(axis + 1)) !== 1) return 'the axis is not the last';
    return onlyF32(inputs);
  },
  prepare({ inputs: [x], attrs: { axis } }) {
    const channels = x!.shape[axis]!;
    return { rows: sizeOf(x!.shape) / channels, channels };
  },
  run({ rows, channels }, [x], [out], context) {
    const words = [addressOf(x!, 'f32'), addressOf(out!, 'f32'), channels];
    context.pool.run(wasm, 'softmaxRows', words, rows, GRAIN_ELEMENTS / channels);
  },
};
