/** `conv2d` and `conv3d` as matrix products whose rows are gathered from the image. */
import {
  bytesPerElement,
  contiguousStrides,
  sizeOf,
  type Binding,
  type ConvAttrs,
  type DType,
  type KernelCall,
  type TensorLayout,
} from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { matrixSource, type OperandSource } from '../product/operand.ts';
import type { Product } from '../product/problem.ts';
import { chooseProduct, PlannedProduct, PRODUCT_STRATEGIES } from '../product/product.ts';
import {
  imageRows,
  strayWeights,
  type ConvGeometry,
  type ImageStrides,
  type WeightStrides,
} from './conv-operands.ts';
import { copyLaunch } from './copy.ts';
import { enqueue, type Launch } from './launch.ts';
import { mergeAxes } from './walk.ts';

type Triple = readonly [number, number, number];

/** Numbers of two or three spatial axes as three; `lead` stands for the axis that images lack. */
function triple(values: readonly number[], lead: number): Triple {
  return (values.length === 2 ? [lead, ...values] : [...values]) as unknown as Triple;
}

/** A tensor with its channel axis last: `[B, ..., C]`. */
function channelsLast(
  { shape, strides }: Pick<TensorLayout, 'shape' | 'strides'>,
  layout: ConvAttrs['layout'],
): { shape: number[]; strides: number[] } {
  const turn = (values: readonly number[]): number[] =>
    layout === 'channelsLast' ? [...values] : [values[0]!, ...values.slice(2), values[1]!];
  return { shape: turn(shape), strides: turn(strides) };
}

function imageStrides(strides: readonly number[]): ImageStrides {
  return {
    batch: strides[0]!,
    channel: strides[strides.length - 1]!,
    spatial: triple(strides.slice(1, -1), 0),
  };
}

/** Strides of weights `[Cout, Cin / groups, ...kernel]`; undefined when the kernel axes do not merge into one. */
function weightStrides({ shape, strides }: TensorLayout): WeightStrides | undefined {
  const taps = mergeAxes(shape.slice(2), [strides.slice(2)]);
  if (taps.shape.length > 1) return undefined;
  return { unit: strides[0]!, channel: strides[1]!, tap: taps.strides[0]![0]! };
}

/** A copy of an operand in the order in which products read it, made before each run. */
interface Packing {
  readonly launch: Launch;
  readonly bytes: number;
}

function packing(
  context: WebGpuContext,
  dtype: DType,
  shape: readonly number[],
  strides: readonly number[],
): Packing {
  return {
    launch: copyLaunch(context, dtype, mergeAxes(shape, [strides]), 1),
    bytes: Math.ceil((sizeOf(shape) * bytesPerElement(dtype)) / 4) * 4,
  };
}

interface Plan {
  readonly product: PlannedProduct;
  readonly packedX: Packing | undefined;
  readonly packedWeight: Packing | undefined;
}

/** What a convolution needs beside its operands. */
function convFrame(
  op: string,
  { inputs, outputs, attrs }: KernelCall<ConvAttrs>,
): { geometry: ConvGeometry; frame: Omit<Product, 'left' | 'right'> } {
  const [x, weight, bias] = inputs;
  const { dtype } = outputs[0]!;
  const image = channelsLast(x!, attrs.layout);
  const out = channelsLast(
    { shape: outputs[0]!.shape, strides: contiguousStrides(outputs[0]!.shape) },
    attrs.layout,
  );
  const [units, channels, ...kernel] = weight!.shape as [number, number, ...number[]];
  const columns = units / attrs.groups;
  const outExtents = triple(out.shape.slice(1, -1), 1);
  const positions = sizeOf(outExtents);
  const columnStride = out.strides[out.strides.length - 1]!;
  const first = attrs.layout === 'channelsFirst';
  const geometry = {
    dtype,
    channels,
    extents: triple(image.shape.slice(1, -1), 1),
    outExtents,
    kernel: triple(kernel, 1),
    stride: triple(attrs.stride, 1),
    padding: triple(attrs.padding, 0),
    dilation: triple(attrs.dilation, 1),
  };
  const frame = {
    label: op,
    dtype,
    rows: out.shape[0]! * positions,
    columns,
    depth: channels * sizeOf(kernel),
    batches: attrs.groups,
    biasStride: bias?.strides[0],
    activation: 'none',
    out: {
      batchStride: columns * columnStride,
      rowStride: first ? 1 : units,
      columnStride,
      ...(first ? { image: { rows: positions, stride: units * positions } } : {}),
    },
  } as const;
  return { geometry, frame };
}

function weightSource(
  dtype: DType,
  { columns, depth, batches }: Omit<Product, 'left' | 'right'>,
  channels: number,
  { unit, channel, tap }: WeightStrides,
): OperandSource {
  const depthStride = channels === 1 ? tap : channel;
  // Taps follow channels, or there is just one of either.
  if (channels !== 1 && channels !== depth && tap !== channels * channel) {
    return strayWeights(dtype, columns, { unit, channel, tap });
  }
  return matrixSource({
    dtype,
    lines: columns,
    depth,
    lineStride: unit,
    depthStride,
    batchShape: [batches],
    batchStrides: [columns * unit],
  });
}

function planConv(
  op: string,
  call: KernelCall<ConvAttrs>,
  context: WebGpuContext,
  forced: string | undefined,
): Plan {
  const [x, weight] = call.inputs;
  const { geometry, frame } = convFrame(op, call);
  const { dtype, channels } = geometry;
  const inPlace = {
    image: channelsLast(x!, call.attrs.layout),
    weight: weightStrides(weight!)!,
  };
  const left = imageRows(geometry, imageStrides(inPlace.image.strides));
  const right = weightSource(dtype, frame, channels, inPlace.weight);
  const strategy = forced ?? chooseProduct({ ...frame, left, right }, context.capabilities);
  const width = strategy === 'subgroup-matrix' ? 8 : 4;
  // Wide reads pay for a copy, except in the narrow products that GPUs leave to the simple strategies.
  const narrow = !context.capabilities.software && (strategy === 'naive' || strategy === 'vector');
  const packs = channels % width === 0 && !narrow;
  const packsX = packs && inPlace.image.strides.at(-1) !== 1;
  const packsWeight = packs && !right.fitsWide(width);
  const imageShape = inPlace.image.shape;
  const [units] = weight!.shape as [number];
  const taps = frame.depth / Math.max(1, channels);
  const packed = { unit: frame.depth, channel: 1, tap: channels };
  const product = new PlannedProduct(
    context,
    {
      ...frame,
      left: packsX ? imageRows(geometry, imageStrides(contiguousStrides(imageShape))) : left,
      right: packsWeight ? weightSource(dtype, frame, channels, packed) : right,
    },
    strategy,
  );
  const { unit, tap, channel } = inPlace.weight;
  return {
    product,
    packedX: packsX ? packing(context, dtype, imageShape, inPlace.image.strides) : undefined,
    packedWeight: packsWeight
      ? packing(context, dtype, [units, taps, channels], [unit, tap, channel])
      : undefined,
  };
}

/** The operand itself, or its copy in fresh scratch memory. */
function pack(
  context: WebGpuContext,
  operand: Binding<GpuBuffer>,
  packed: Packing | undefined,
): Binding<GpuBuffer> {
  if (packed === undefined) return operand;
  const copy = context.scratch(Math.ceil(packed.bytes / 4));
  enqueue(context, packed.launch, [operand, copy]);
  return copy;
}

function convKernel(op: string): WebGpuKernel {
  const kernel: WebGpuKernel<ConvAttrs, Plan> = {
    op,
    strategies: PRODUCT_STRATEGIES,
    supports: () => true,
    acceptsStrides: ({ inputs }) => weightStrides(inputs[1]!) !== undefined,
    prepare: (call, context, strategy) => planConv(op, call, context, strategy),
    run({ product, packedX, packedWeight }, [x, weight, bias], [out], context) {
      const image = pack(context, x!, packedX);
      const weights = pack(context, weight!, packedWeight);
      product.enqueue([image, weights, ...(bias === undefined ? [] : [bias]), out!]);
      if (packedX !== undefined) context.release(image);
      if (packedWeight !== undefined) context.release(weights);
    },
  };
  return kernel;
}

/**
 * Strategies are those of products. Weights whose channels are innermost in memory (a permuted view of
 * `[Cout, ...kernel, Cin]`) and images with channels last are read in place; others are copied first where that pays.
 */
export const convKernels: readonly WebGpuKernel[] = [convKernel('conv2d'), convKernel('conv3d')];
