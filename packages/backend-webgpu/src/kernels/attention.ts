/** `attention`: softmax attention over packed sequences. */
import {
  UnsupportedOpError,
  type AttentionAttrs,
  type Binding,
  type DType,
  type KernelCall,
} from '@pergola/core';
import { chooseMatrixShape, type MatrixShape } from '../attention/matrix-shape.ts';
import { matrixAttention } from '../attention/matrix.wgsl.ts';
import { naiveAttention } from '../attention/naive.wgsl.ts';
import {
  attentionOf,
  OFFSETS,
  SEQUENCE,
  type Attention,
  type AttentionTemplate,
} from '../attention/problem.ts';
import { readsRowsWide, rowsAccess } from '../attention/rows.ts';
import { tiledAttention, tiledAttentionBytes } from '../attention/tiled.wgsl.ts';
import type { GpuBuffer } from '../buffers.ts';
import type { Capabilities } from '../capabilities.ts';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import type { Width } from '../product/operand.ts';
import type { BindingSpec } from '../wgsl/access.ts';
import { LaunchVersions, type Launch } from './launch.ts';

/**
 * - `naive`: one to four queries per invocation, without barriers;
 * - `tiled`: 64 queries per workgroup, through its memory, in f32;
 * - `subgroup-matrix`: f16 on the matrix units, sums in f32.
 */
type Strategy = 'naive' | 'tiled' | 'subgroup-matrix';

const STRATEGIES: readonly Strategy[] = ['naive', 'tiled', 'subgroup-matrix'];

/** The strategy of `auto`, a pure function of the sizes and the device. */
function chooseStrategy(
  { maxQ, depth, q: { dtype } }: Attention,
  shape: MatrixShape | undefined,
  capabilities: Capabilities,
): Strategy {
  // Software devices pay most for barriers.
  if (capabilities.software || maxQ < 4) return 'naive';
  if (shape !== undefined && dtype === 'f16') return 'subgroup-matrix';
  return tiledAttentionBytes(depth) <= capabilities.workgroupBytes ? 'tiled' : 'naive';
}

function refuse(strategy: Strategy, reason: string): never {
  throw new UnsupportedOpError(`attention: strategy ${strategy} ${reason}.`);
}

function checkStrategy(
  strategy: Strategy,
  { depth, q: { dtype } }: Attention,
  shape: MatrixShape | undefined,
  { workgroupBytes }: Capabilities,
): void {
  if (strategy === 'tiled' && tiledAttentionBytes(depth) > workgroupBytes) {
    refuse(strategy, `needs ${tiledAttentionBytes(depth)} bytes of workgroup memory`);
  }
  if (strategy !== 'subgroup-matrix') return;
  if (dtype !== 'f16') refuse(strategy, `multiplies f16, not ${dtype}`);
  if (shape === undefined) {
    refuse(
      strategy,
      'needs matrix units for f16 in subgroups of 32, which this device does not offer',
    );
  }
}

/** WGSL that stores results of one query and head, from `depth` on; those past the depth are dropped. */
function storeCode(width: Width, wide: boolean): string {
  const at = '(query * params.heads + head) * params.depth + depth';
  if (width === 4) {
    const single = [0, 1, 2, 3].map(
      (i) => `if (depth + ${i}u < params.depth) { store_out(${at} + ${i}u, result[${i}]); }`,
    );
    const store = wide
      ? `if (depth < params.depth) { store_out((${at}) / 4u, result); }`
      : single.join('\n  ');
    return `
fn store_four(query: u32, head: u32, depth: u32, result: vec4<f32>) {
  ${store}
}`;
  }
  const single = Array.from({ length: 8 }, (_, i) => {
    const value = i < 4 ? `low[${i}]` : `high[${i - 4}]`;
    return `if (depth + ${i}u < params.depth) { store_out(${at} + ${i}u, ${value}); }`;
  });
  const store = wide
    ? `if (depth < params.depth) { store_out((${at}) / 8u, halves_of(low, high)); }`
    : single.join('\n  ');
  return `
fn store_eight(query: u32, head: u32, depth: u32, exists: bool, low: vec4<f32>, high: vec4<f32>) {
  if (!exists) { return; }
  ${store}
}`;
}

function outBinding(dtype: DType, width: Width, wide: boolean): BindingSpec {
  if (!wide) return { name: 'out', dtype, use: 'write' };
  return { name: 'out', dtype: width === 8 ? 'u32' : dtype, use: 'write', lanes: 4 };
}

const LOG2_E = Math.LOG2E;

/** An attention call in one strategy: compiled for the alignments of offsets that it meets. */
export class PlannedAttention {
  readonly #context: WebGpuContext;
  readonly #problem: Attention;
  readonly #strategy: Strategy;
  readonly #template: AttentionTemplate;
  readonly #width: Width;
  /** q, k, v and out: whether they are moved `width` elements at a time when their offsets permit. */
  readonly #wide: readonly boolean[];
  readonly #versions: LaunchVersions = new LaunchVersions((wide) => this.#compile(wide));

  /** @param shape of the strategy on matrix units; undefined where the device cannot run it. */
  constructor(
    context: WebGpuContext,
    problem: Attention,
    forced: string | undefined,
    shape: MatrixShape | undefined,
  ) {
    const { capabilities } = context;
    const strategy =
      (forced as Strategy | undefined) ?? chooseStrategy(problem, shape, capabilities);
    checkStrategy(strategy, problem, shape, capabilities);
    this.#context = context;
    this.#problem = problem;
    this.#strategy = strategy;
    if (strategy === 'naive') this.#template = naiveAttention(problem, capabilities);
    else if (strategy === 'tiled') this.#template = tiledAttention(problem);
    else this.#template = matrixAttention(problem, shape!);
    const width = strategy === 'subgroup-matrix' ? 8 : 4;
    this.#width = width;
    const { q, k, v, depth } = problem;
    this.#wide = [...[q, k, v].map((rows) => readsRowsWide(rows, width)), depth % width === 0];
    // Offsets are aligned as a rule.
    this.#versions.get(this.#wide);
  }

  /** Enqueues the call. Bindings: q, k, v, out; then the offsets. */
  enqueue(rows: readonly Binding<GpuBuffer>[], offsets: readonly Binding<GpuBuffer>[]): void {
    const wide = this.#wide.map((fits, i) => fits && rows[i]!.offset % this.#width === 0);
    const { program, params, count } = this.#versions.get(wide);
    // Words hold two halves, and the program counts words.
    const [q, k, v, out] = rows.map((binding, i) =>
      this.#width === 8 && wide[i]! ? { ...binding, offset: binding.offset / 2 } : binding,
    );
    this.#context.launch(program, [q!, k!, v!, ...offsets, out!], params, count);
  }

  #compile([wideQ, wideK, wideV, wideOut]: readonly boolean[]): Launch {
    const { heads, depth, scale, q, k, v } = this.#problem;
    const width = this.#width;
    const template = this.#template;
    const access = [
      rowsAccess('q', q, { width, wide: wideQ!, ragged: template.ragged }),
      rowsAccess('k', k, { width, wide: wideK!, ragged: template.ragged }),
      rowsAccess('v', v, { width, wide: wideV!, ragged: template.ragged }),
    ];
    const program = this.#context.program({
      label: `attention.${this.#strategy}.${q.dtype}`,
      bindings: [
        ...access.map(({ binding }) => binding),
        ...OFFSETS,
        outBinding(q.dtype, width, wideOut!),
      ],
      params: {
        heads: 'u32',
        depth: 'u32',
        tiles: 'u32',
        scale: 'f32',
        ...Object.assign({}, ...access.map(({ types }) => types)),
      },
      each: template.each,
      workgroup: template.workgroup,
      ...(template.enables === undefined ? {} : { enables: template.enables }),
      ...(template.subgroupId === undefined ? {} : { subgroupId: template.subgroupId }),
      helpers: template.helpers,
      body: [
        ...access.map(({ code }) => code),
        SEQUENCE,
        storeCode(width, wideOut!),
        template.body,
      ].join('\n'),
    });
    const params = program.pack({
      heads,
      depth,
      tiles: template.tiles,
      // Matrix units are followed by powers of two.
      scale: this.#strategy === 'subgroup-matrix' ? scale * LOG2_E : scale,
      ...Object.assign({}, ...access.map(({ values }) => values)),
    });
    return { program, params, count: template.count };
  }
}

function innerContiguous({ inputs }: KernelCall<AttentionAttrs>): boolean {
  const [q, k, v, offsetsQ, offsetsK] = inputs;
  return (
    [q, k, v].every((rows) => rows!.shape[2] === 1 || rows!.strides[2] === 1) &&
    [offsetsQ, offsetsK].every((offsets) => offsets!.contiguous)
  );
}

export const attentionKernel: WebGpuKernel<AttentionAttrs, PlannedAttention> = {
  op: 'attention',
  strategies: STRATEGIES,
  supports: () => true,
  acceptsStrides: innerContiguous,
  prepare(call, context, strategy) {
    const problem = attentionOf(call);
    const shape = chooseMatrixShape(problem.depth, problem.maxQ, context.capabilities);
    return new PlannedAttention(context, problem, strategy, shape);
  },
  run(plan, [q, k, v, offsetsQ, offsetsK], [out]) {
    plan.enqueue([q!, k!, v!, out!], [offsetsQ!, offsetsK!]);
  },
};
