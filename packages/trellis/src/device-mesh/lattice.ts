/**
 * The lattice of mesh extraction as tensors: which slots are the corners of a cell, or the cells round a point, by
 * arithmetic on a device.
 */
import { add, floorDivide, gather, mul, sub, type Device, type Tensor } from '@pergola/core';
import type { CellGrid } from '../assets/flexicubes-grid.ts';
import { CORNERS } from '../assets/flexicubes-tables.ts';
import { BLOCK_SLOTS, CELL_PLACES, CORNER_PLACES } from '../assets/sparse-lattice.ts';

/** How to get from a slot to eight others. */
export interface SlotSteps {
  /** i32 `[blocks, 8]` first slots of a block's neighbours. */
  readonly blocks: Tensor;
  /** i32 `[64, 8]` by place and step: which neighbour the step leads to, */
  readonly neighbors: Tensor;
  /** and the place there. */
  readonly places: Tensor;
}

/** A lattice and its cells on a device. Slots are numbered as in `SparseLattice`. */
export interface LatticeTensors {
  readonly device: Device;
  readonly resolution: number;
  /** Blocks, and how many of them hold corners of given cells; these come first. */
  readonly blockCount: number;
  readonly touchedCount: number;
  /** Slots of all blocks; those from here on are nobody's. */
  readonly slotCount: number;
  /** To the cell's corners, `(i & 1, i >> 1 & 1, i >> 2)`. */
  readonly corners: SlotSteps;
  /** To the cells that have the point as these corners. */
  readonly cells: SlotSteps;
  /** i32 `[blocks, 3]` lowest point of each block. */
  readonly origins: Tensor;
  /** i32 `[64, 3]` position of each place in its block. */
  readonly offsets: Tensor;
  /** i32 by slot, as far as cells are given: 1 + row of the cell, 0 where there is none. */
  readonly cellOf: Tensor;
  /** Whether a block reaches beyond the grid. */
  readonly partial: boolean;
}

/** Uploads what a device needs to know of a grid; the tensors belong to the scope round the call. */
export function uploadLattice(device: Device, { lattice, cellOf }: CellGrid): LatticeTensors {
  const { blockCount, resolution, origins } = lattice;
  const steps = (blocks: Int32Array, table: Uint16Array): SlotSteps => ({
    blocks: device.tensor(blocks, [blockCount, CORNERS]),
    neighbors: device.tensor(
      Int32Array.from(table, (entry) => Math.floor(entry / BLOCK_SLOTS)),
      [BLOCK_SLOTS, CORNERS],
    ),
    places: device.tensor(
      Int32Array.from(table, (entry) => entry % BLOCK_SLOTS),
      [BLOCK_SLOTS, CORNERS],
    ),
  });
  const places = Array.from({ length: BLOCK_SLOTS }, (_, place) => place);
  const offsets = places.flatMap((place) => [place >> 4, (place >> 2) & 3, place & 3]);
  return {
    device,
    resolution,
    blockCount,
    touchedCount: lattice.pointSlotCount / BLOCK_SLOTS,
    slotCount: blockCount * BLOCK_SLOTS,
    corners: steps(lattice.next, CORNER_PLACES),
    cells: steps(lattice.previous, CELL_PLACES),
    origins: device.tensor(Int32Array.from(origins), [blockCount, 3]),
    offsets: device.tensor(Int32Array.from(offsets), [BLOCK_SLOTS, 3]),
    cellOf: device.tensor(cellOf, [cellOf.length]),
    partial: origins.some((origin) => origin + 3 >= resolution),
  };
}

/** Where one step leads from every slot of the first `blocks` blocks: i32 `[64 * blocks]`. */
export function stepFromAll(steps: SlotSteps, step: number, blocks: number): Tensor {
  return steps.blocks.device.run(() => {
    const neighbors = steps.neighbors.select(1, step);
    const first = gather(steps.blocks.slice(0, 0, blocks), neighbors, { axis: 1 });
    return add(first, steps.places.select(1, step)).reshape(blocks * BLOCK_SLOTS);
  });
}

/** Where all eight steps lead from some slots: i32 `[M, 8]`. @param slots i32 `[M]`. */
export function stepsFrom(steps: SlotSteps, slots: Tensor): Tensor {
  return slots.device.run(() => {
    const { block, place } = splitSlots(slots);
    const columns = gather(steps.neighbors, place);
    const entries = add(columns, mul(block, CORNERS).unsqueeze(1)).reshape(columns.size);
    const first = gather(steps.blocks.reshape(-1), entries).reshape(...columns.shape);
    return add(first, gather(steps.places, place));
  });
}

/** Block and place of each slot. @param slots i32 `[M]`. @returns i32 `[M]` each. */
function splitSlots(slots: Tensor): { block: Tensor; place: Tensor } {
  const block = floorDivide(slots, BLOCK_SLOTS);
  return { block, place: sub(slots, mul(block, BLOCK_SLOTS)) };
}

/** Lattice coordinates of some slots: i32 `[M, 3]`. @param slots i32 `[M]`. */
export function coordinatesOf({ origins, offsets }: LatticeTensors, slots: Tensor): Tensor {
  return slots.device.run(() => {
    const { block, place } = splitSlots(slots);
    return add(gather(origins, block), gather(offsets, place));
  });
}

/** Rows of the cells at some slots, -1 where none is given: i32 `[M]`. @param slots i32 `[M]`. */
export function rowsAt({ cellOf }: LatticeTensors, slots: Tensor): Tensor {
  return slots.device.run(() => sub(gather(cellOf, slots), 1));
}
