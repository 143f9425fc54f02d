/** Copying elements between two strided layouts in the CPU memory; what copies, concatenations and paddings are made of. */
import { sizeOf, type Shape } from '../shape.ts';
import type { CpuContext } from './context.ts';
import { collapse, MAX_WALK_AXES, walkWords, type Loop } from './walk.ts';
import { wasm } from './wasm/copy.generated.ts';

/** A copy of `shape` elements. Addresses are in bytes, strides in elements. */
export interface StridedCopy {
  readonly source: number;
  readonly target: number;
  /** Bytes of an element: 1, 2 or 4. */
  readonly bytes: number;
  readonly shape: Shape;
  readonly sourceStrides: readonly number[];
  readonly targetStrides: readonly number[];
}

// Elements of a chunk where both sides are contiguous, and where not: the cache lines of 256 elements stay near while
// the rows that share them are copied.
const JOINED_CHUNK = 65_536;
const STRIDED_CHUNK = 256;
const GRAIN_BYTES = 262_144;

/** Axes that a copy can have. */
export const MAX_COPY_AXES: number = MAX_WALK_AXES + 1;

/** The axis of the innermost loop: contiguous in both layouts if that is worth it, else a long one. */
function innerAxis({ shape, strides: [source, target] }: Loop): number {
  let best = 0;
  let bestWeight = -1;
  shape.forEach((extent, axis) => {
    const joined = source![axis] === 1 && target![axis] === 1;
    const near = source![axis] === 1 || target![axis] === 1;
    const weight = Math.min(extent, STRIDED_CHUNK) * (joined ? 8 : near ? 2 : 1);
    if (weight < bestWeight) return;
    best = axis;
    bestWeight = weight;
  });
  return best;
}

/** Copies; returns when it is done. */
export function copyStrided(context: CpuContext, copy: StridedCopy): void {
  const { bytes } = copy;
  if (sizeOf(copy.shape) === 0) return;
  const loop = collapse(copy.shape, [copy.sourceStrides, copy.targetStrides]);
  const inner = innerAxis(loop);
  const inBytes = {
    shape: loop.shape,
    strides: loop.strides.map((own) => own.map((stride) => stride * bytes)),
  };
  const extent = loop.shape[inner]!;
  const [from, to] = loop.strides.map((own) => (extent === 1 ? 1 : own[inner]!));
  const chunk = Math.min(extent, from === 1 && to === 1 ? JOINED_CHUNK : STRIDED_CHUNK);
  const rows = sizeOf(loop.shape) / extent;
  const words = [
    ...[copy.source, copy.target, bytes, extent, from! * bytes, to! * bytes, chunk, rows],
    ...walkWords(inBytes, inner),
  ];
  const items = rows * Math.ceil(extent / chunk);
  context.pool.run(wasm, 'copy', words, items, GRAIN_BYTES / (chunk * bytes));
}
