/**
 * attention: flash attention on tensor cores for half types; `mma` by mma.sync, and on Hopper `wgmma` and, for sequences
 * that fill its larger tiles, `pipelined`: the copy engine loads, and softmax runs under the products. Else `tiled`, in f32
 * arithmetic, or `scalar`, one warp per row, for few rows.
 */
import { MAX_HEAD_DIMENSION, type AttentionAttrs, type KernelCall } from '@pergola/core';
import { planLaunch, runLaunch, type CudaContext, type CudaKernel } from '../kernel.ts';
import { ParamBlock } from '../params.ts';
import { chooseTensorCoreStrategy } from '../tensor-cores.ts';

// In the order of the enum in native/kernels/attention.cu.
const STRATEGIES = ['scalar', 'tiled', 'mma', 'wgmma', 'pipelined'];
const ON_HOPPER: ReadonlySet<string> = new Set(['wgmma', 'pipelined']);
const WITHOUT_TENSOR_CORES: ReadonlySet<string> = new Set(['scalar', 'tiled']);
// Fewer rows leave most of a tile idle.
const MIN_TILED_ROWS = 16;
// Shorter sequences waste more of a tile of 192 rows than its pace is worth.
const MIN_PIPELINED_ROWS = 256;
// Halves in one 16-byte copy: rows and heads must start on such a boundary.
const VECTOR = 8;
// Heads are one axis of a launch grid.
const MAX_HEADS = 65535;

/** Why the tensor cores cannot serve a call, or undefined. */
function obstacle({ inputs: [q, k, v], attrs }: KernelCall<AttentionAttrs>): string | undefined {
  if (q!.dtype === 'f32') return 'dtype f32';
  if (q!.shape[2]! % VECTOR !== 0) return `a head size of ${q!.shape[2]}`;
  if (!(attrs.scale > 0)) return `a scale of ${attrs.scale}`;
  const aligned = [q, k, v].every(
    (x) => x!.strides[0]! % VECTOR === 0 && x!.strides[1]! % VECTOR === 0,
  );
  return aligned ? undefined : `rows that are no multiple of ${VECTOR} elements apart`;
}

/** @throws UnsupportedOpError when a forced strategy cannot serve the call. */
function chooseStrategy(
  call: KernelCall<AttentionAttrs>,
  context: CudaContext,
  forced: string | undefined,
): string {
  if (forced !== undefined && WITHOUT_TENSOR_CORES.has(forced)) return forced;
  const { inputs, attrs } = call;
  const reason = obstacle(call);
  if (forced === undefined && reason !== undefined) {
    return attrs.maxQ >= MIN_TILED_ROWS ? 'tiled' : 'scalar';
  }
  const strategy = chooseTensorCoreStrategy('attention', reason, ON_HOPPER, context, forced);
  if (forced !== undefined || strategy !== 'wgmma') return strategy;
  const [q, , , offsets] = inputs;
  const meanRows = q!.shape[0]! / (offsets!.shape[0]! - 1);
  return meanRows >= MIN_PIPELINED_ROWS ? 'pipelined' : 'wgmma';
}

export const attentionKernel: CudaKernel<AttentionAttrs> = {
  op: 'attention',
  strategies: STRATEGIES,
  supports({ inputs: [q] }) {
    const [, heads, depth] = q!.shape as [number, number, number];
    if (depth > MAX_HEAD_DIMENSION) return `the head size is above ${MAX_HEAD_DIMENSION}`;
    return heads <= MAX_HEADS || `there are more than ${MAX_HEADS} heads`;
  },
  acceptsStrides: ({ inputs }) =>
    inputs.slice(0, 3).every((x) => x!.strides[2] === 1 || x!.shape[2] === 1),
  prepare(call, context, strategy) {
    const { inputs, attrs } = call;
    const [q, k, v, offsets] = inputs;
    const chosen = chooseStrategy(call, context, strategy);
    const params = new ParamBlock()
      .int(q!.shape[1]!, q!.shape[2]!, attrs.maxQ, attrs.maxK)
      .bool(attrs.causal)
      .float(attrs.scale)
      .int(offsets!.shape[0]! - 1, q!.shape[0]!, k!.shape[0]!);
    for (const x of [q, k, v]) params.int(x!.strides[0]!, x!.strides[1]!);
    params.dtype(q!.dtype).int(STRATEGIES.indexOf(chosen));
    return planLaunch(context, 'attention', call, params);
  },
  run: runLaunch,
};
