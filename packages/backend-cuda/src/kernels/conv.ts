/**
 * conv2d and conv3d: sums along lanes for few output channels in channels last, implicit GEMM by wgmma on Hopper for
 * other channels-last half types, a tiled product otherwise.
 */
import { sizeOf, UnsupportedOpError, type ConvAttrs, type KernelCall } from '@pergola/core';
import { planLaunch, runLaunch, type CudaContext, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { ParamBlock } from '../params.ts';
import { HOPPER } from '../tensor-cores.ts';
import { packVolume, volumeOf } from '../volume.ts';

const STRATEGIES = ['tiled', 'wgmma', 'narrow'];
// Channels in one 16-byte copy.
const CHANNEL_UNIT = 8;
// As in native/kernels/conv_narrow.cuh: most output channels, channels in one access, taps along the last axis.
const NARROW_OUTPUT_CHANNELS = 4;
const NARROW_UNIT = 4;
const NARROW_TAPS = 3;
// Positions of the result: one axis of the launch grid times the rows of a block.
const MAX_POSITIONS = 65535 * 128;
// The other axes of the grids: groups of the tiled kernel, output channels where weights are rearranged.
const MAX_GROUPS = 65535;
const MAX_OUTPUT_CHANNELS = 65535;

function tensorCores(call: KernelCall<ConvAttrs>, { capability }: CudaContext): boolean {
  const [x] = call.inputs;
  const { layout, groups } = call.attrs;
  return (
    capability === HOPPER &&
    x!.dtype !== 'f32' &&
    layout === 'channelsLast' &&
    groups === 1 &&
    x!.shape.at(-1)! > 0 &&
    x!.shape.at(-1)! % CHANNEL_UNIT === 0 &&
    sizeOf(call.outputs[0]!.shape.slice(0, -1)) <= MAX_POSITIONS
  );
}

function narrow({ inputs: [x, weight], attrs }: KernelCall<ConvAttrs>): boolean {
  const { layout, groups, stride, dilation } = attrs;
  return (
    layout === 'channelsLast' &&
    groups === 1 &&
    weight!.shape[0]! <= NARROW_OUTPUT_CHANNELS &&
    x!.shape.at(-1)! > 0 &&
    x!.shape.at(-1)! % NARROW_UNIT === 0 &&
    weight!.shape.at(-1) === NARROW_TAPS &&
    stride.at(-1) === 1 &&
    dilation.at(-1) === 1
  );
}

function convKernel(op: string): CudaKernel<ConvAttrs> {
  return {
    op,
    strategies: STRATEGIES,
    supports(call) {
      if (call.attrs.groups > MAX_GROUPS) return `there are more than ${MAX_GROUPS} groups`;
      if (call.inputs[1]!.shape[0]! > MAX_OUTPUT_CHANNELS) {
        return `there are more than ${MAX_OUTPUT_CHANNELS} output channels`;
      }
      return fitsIndices(call);
    },
    prepare(call, context, strategy) {
      const [x, weight] = call.inputs;
      const fast = tensorCores(call, context);
      if (strategy === 'wgmma' && !fast) {
        throw new UnsupportedOpError(
          `${op}: wgmma needs Hopper, f16 or bf16, channels last, one group and channels in multiples of ${CHANNEL_UNIT}.`,
        );
      }
      if (strategy === 'narrow' && !narrow(call)) {
        throw new UnsupportedOpError(
          `${op}: narrow needs channels last, one group, up to ${NARROW_OUTPUT_CHANNELS} output channels, input channels in multiples of ${NARROW_UNIT} and ${NARROW_TAPS} taps with stride and dilation 1 along the last axis.`,
        );
      }
      const chosen = strategy ?? (narrow(call) ? 'narrow' : fast ? 'wgmma' : 'tiled');
      const { stride, padding, dilation, groups, layout } = call.attrs;
      const from = volumeOf(x!.shape, layout);
      const to = volumeOf(call.outputs[0]!.shape, layout);
      const kernel = weight!.shape.slice(2);
      const params = new ParamBlock()
        .dtype(x!.dtype)
        .bool(layout === 'channelsLast')
        .int(x!.shape[0]!, from.channels / groups, to.channels / groups, groups, sizeOf(kernel))
        .padded(kernel, 3, 1)
        .padded(stride, 3, 1)
        .padded(padding, 3, 0)
        .padded(dilation, 3, 1)
        .int(...to.extents, sizeOf(to.extents));
      packVolume(packVolume(params, from), to).int(STRATEGIES.indexOf(chosen));
      return planLaunch(context, op, call, params, 3);
    },
    run: runLaunch,
  };
}

export const conv2dKernel: CudaKernel<ConvAttrs> = convKernel('conv2d');

export const conv3dKernel: CudaKernel<ConvAttrs> = convKernel('conv3d');
