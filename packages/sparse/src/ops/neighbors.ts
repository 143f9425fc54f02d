/** Neighbour maps: for every output row and kernel tap, the input row there. */
import { executeOne, shapeMismatch, type Op, type Tensor } from '@pergola/core';
import { findRow, type HashTable } from './hash.ts';
import { checkCoords, checkTable, checkInteger } from './checks.ts';
import { invertNeighborMapKernel, neighborMapKernel } from '../cpu/neighbor-map.ts';

/** Attributes of `neighborMap`. Output `p` and tap `k` meet input `p * stride - padding + dilation * k`, on each axis. */
export interface NeighborMapAttrs {
  /** Taps per axis. */
  readonly kernelSize: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
}

export const NEIGHBOR_MAP_DEFAULTS: Omit<NeighborMapAttrs, 'kernelSize' | 'padding'> = {
  stride: 1,
  dilation: 1,
};

/** @throws InputError for anything but positive integers (padding: integers of at least 0). */
export function checkKernel(op: string, attrs: NeighborMapAttrs): void {
  checkInteger(op, 'kernelSize', attrs.kernelSize, 1);
  checkInteger(op, 'stride', attrs.stride, 1);
  checkInteger(op, 'padding', attrs.padding, 0);
  checkInteger(op, 'dilation', attrs.dilation, 1);
}

export const neighborMapOp: Op<NeighborMapAttrs> = {
  name: 'neighborMap',
  family: 'hash',
  inputs: [
    { name: 'queries', dtypes: ['i32'], rank: 2 },
    { name: 'coords', dtypes: ['i32'], rank: 2 },
    { name: 'slots', dtypes: ['i32'], rank: 1 },
  ],
  infer([queries, coords, slots], attrs) {
    checkKernel('neighborMap', attrs);
    checkCoords('neighborMap', 'queries', queries!.shape);
    checkCoords('neighborMap', 'coords', coords!.shape);
    checkTable('neighborMap', slots!.shape, coords!.shape[0]!);
    return [{ dtype: 'i32', shape: [queries!.shape[0]!, attrs.kernelSize ** 3] }];
  },
  reference([queries, coords, slots], { kernelSize, stride, padding, dilation }, [out]) {
    const query = queries!.data;
    let at = 0;
    for (let row = 0; row < queries!.shape[0]!; row++) {
      const batch = query[row * 4]!;
      const x = query[row * 4 + 1]! * stride - padding;
      const y = query[row * 4 + 2]! * stride - padding;
      const z = query[row * 4 + 3]! * stride - padding;
      for (let kx = 0; kx < kernelSize; kx++) {
        for (let ky = 0; ky < kernelSize; ky++) {
          for (let kz = 0; kz < kernelSize; kz++) {
            out!.data[at++] = findRow(
              slots!.data,
              coords!.data,
              batch,
              x + dilation * kx,
              y + dilation * ky,
              z + dilation * kz,
            );
          }
        }
      }
    }
  },
  cost([queries], { kernelSize }) {
    const taps = queries!.shape[0]! * kernelSize ** 3;
    return { flops: 16 * taps, bytes: 24 * taps };
  },
  kernels: { cpu: neighborMapKernel },
};

/**
 * Neighbour map of `coords` in `table`; with the defaults, of a submanifold convolution.
 *
 * @param coords i32 `[M, 4]`, the output coordinates.
 * @param options `kernelSize` K; `stride` 1; `dilation` 1; `padding` defaults to `dilation * (K - 1) / 2`, the centred
 *   kernel of odd K.
 * @returns i32 `[M, K^3]`, tap `(kx * K + ky) * K + kz`: row in the table, or -1.
 * @throws ShapeError, DTypeError, InputError (an even K needs an explicit padding).
 */
export function neighborMap(
  coords: Tensor,
  table: HashTable,
  options: Partial<NeighborMapAttrs> & { readonly kernelSize: number },
): Tensor {
  const { dilation = 1, kernelSize } = options;
  const padding = options.padding ?? (dilation * (kernelSize - 1)) / 2;
  return executeOne(neighborMapOp, [coords, table.coords, table.slots], {
    ...NEIGHBOR_MAP_DEFAULTS,
    ...options,
    padding,
  });
}

/** Attributes of `invertNeighborMap`. */
export interface InvertNeighborMapAttrs {
  /** Rows of the input side: the row count of the result. */
  readonly rows: number;
}

export const invertNeighborMapOp: Op<InvertNeighborMapAttrs> = {
  name: 'invertNeighborMap',
  family: 'hash',
  inputs: [{ name: 'map', dtypes: ['i32'], rank: 2 }],
  infer([map], { rows }) {
    checkInteger('invertNeighborMap', 'rows', rows, 0);
    if (map!.shape[1] === 0)
      throw shapeMismatch('invertNeighborMap', 'map', '[M, taps]', map!.shape);
    return [{ dtype: 'i32', shape: [rows, map!.shape[1]!] }];
  },
  reference([map], _attrs, [out]) {
    const [rows, taps] = [map!.shape[0]!, map!.shape[1]!];
    out!.data.fill(-1);
    for (let row = 0; row < rows; row++) {
      for (let tap = 0; tap < taps; tap++) {
        const input = map!.data[row * taps + tap]!;
        if (input >= 0 && input < out!.shape[0]!) out!.data[input * taps + tap] = row;
      }
    }
  },
  kernels: { cpu: invertNeighborMapKernel },
};

/**
 * The same pairs read from the input side: entry `[q, k]` is the output row that meets input row q at tap k.
 *
 * Each input row meets at most one output row per tap in a map of a convolution; that is required here.
 *
 * @param map i32 `[M, taps]`; entries outside 0 to `rows - 1` are dropped.
 * @returns i32 `[rows, taps]`, -1 where there is none.
 * @throws ShapeError, DTypeError, InputError.
 */
export function invertNeighborMap(map: Tensor, options: InvertNeighborMapAttrs): Tensor {
  return executeOne(invertNeighborMapOp, [map], { rows: options.rows });
}
