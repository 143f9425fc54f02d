/** Builders of attention partitions: windows of space and chunks of a space-filling curve. */
import { gather, InputError, sortByKey, type Tensor } from '@pergola/core';
import { inversePermutation, transformCoords } from './ops/coords.ts';
import { curveCodes } from './ops/curves.ts';
import { uniqueCoords } from './ops/unique.ts';
import type { SparseStructure } from './structure.ts';
import type {
  AttentionPartition,
  SerializeOptions,
  WindowOptions,
  WindowPartition,
} from './structure-parts.ts';
import { triple, type Triple } from './ops/checks.ts';
import type { Bounds } from './check-coords.ts';

/** @internal For `SparseStructure.windows`. */
export async function buildPartition(
  structure: SparseStructure,
  { size, shift }: Required<WindowOptions>,
): Promise<WindowPartition> {
  using cells = transformCoords(structure.coords, { shift, divisor: size });
  const groups = await uniqueCoords(cells);
  for (const part of [groups.coords, groups.inverse, groups.counts]) part.dispose();
  const { order, offsets, largest } = groups;
  return { order, inverse: inversePermutation(order), offsets, maxLength: largest };
}

/** Places of the sequences, as positions along the curve (rows sorted by code, batch after batch). */
export interface Chunks {
  /** Position at each place. */
  readonly places: Int32Array;
  /** Place that owns each position. */
  readonly owner: Int32Array;
  readonly offsets: Int32Array;
  readonly maxLength: number;
}

/**
 * Cuts batch elements of the given lengths into chunks of `window` places.
 *
 * Chunk i of m in an element of n > window owns the positions from `floor(i v + q)` to `floor((i + 1) v + q) - 1`,
 * `v = n / m`, q the sequence shift; its places start at `floor((i + 1/2) v + q - window / 2)`. Positions are modulo n.
 */
export function cutChunks(lengths: readonly number[], window: number, shift: number): Chunks {
  const chunkCounts = lengths.map((n) => Math.ceil(n / window));
  const sizes = lengths.map((n, b) => (n <= window ? n : chunkCounts[b]! * window));
  const places = new Int32Array(sizes.reduce((sum, size) => sum + size, 0));
  const owner = new Int32Array(lengths.reduce((sum, n) => sum + n, 0));
  const offsets = [0];
  let first = 0;
  let place = 0;
  let maxLength = 0;
  for (const [b, n] of lengths.entries()) {
    if (n <= window) {
      for (let i = 0; i < n; i++, place++) {
        places[place] = first + i;
        owner[first + i] = place;
      }
      if (n > 0) offsets.push(place);
      maxLength = Math.max(maxLength, n);
    } else {
      const share = n / chunkCounts[b]!;
      const wrap = (position: number): number => first + (((position % n) + n) % n);
      for (let i = 0; i < chunkCounts[b]!; i++) {
        const start = Math.floor((i + 0.5) * share + shift - window / 2);
        const end = Math.floor((i + 1) * share + shift);
        for (let p = Math.floor(i * share + shift); p < end; p++) {
          owner[wrap(p)] = place + (p - start);
        }
        for (let j = 0; j < window; j++) places[place++] = wrap(start + j);
        offsets.push(place);
      }
      maxLength = Math.max(maxLength, window);
    }
    first += n;
  }
  return { places, owner, offsets: Int32Array.from(offsets), maxLength };
}

function stableOrder(keys: Tensor): Tensor {
  const sorted = sortByKey(keys);
  sorted.keys.dispose();
  return sorted.order;
}

function checkCurveRange({ min, max }: NonNullable<Bounds>, shift: Triple): void {
  for (let axis = 0; axis < 3; axis++) {
    const [low, high] = [min[axis]! + shift[axis]!, max[axis]! + shift[axis]!];
    if (low < 0 || high > 1023) {
      throw new InputError(
        `serialize: shifted coordinates must be 0 to 1023, got ${low} to ${high} along ${'xyz'[axis]}.`,
      );
    }
  }
}

/** @internal For `SparseStructure.serialize`. */
export async function buildSerialized(
  structure: SparseStructure,
  { order, window, shift, sequenceShift }: Required<SerializeOptions>,
): Promise<AttentionPartition> {
  const { bounds, coords, count, device, lengths } = structure;
  if (bounds !== undefined) checkCurveRange(bounds, triple(shift));
  using codes = curveCodes(coords, { order, shift });
  // Rows are packed by batch, so a stable sort by code followed by a stable sort by batch is one by (batch, code).
  using byCode = stableOrder(codes);
  using batches = gather(structure.batchIndex(), byCode);
  using byBatch = stableOrder(batches);
  using sorted = gather(byCode, byBatch);
  using position = inversePermutation(sorted);
  const chunks = cutChunks(lengths, window, sequenceShift);
  using places = device.tensor(chunks.places, [chunks.places.length]);
  using owner = device.tensor(chunks.owner, [count]);
  return {
    order: gather(sorted, places),
    inverse: gather(owner, position),
    offsets: device.tensor(chunks.offsets, [chunks.offsets.length]),
    maxLength: chunks.maxLength,
  };
}
