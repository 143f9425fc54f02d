/** Sparse tensors: features on the voxels of a structure. */
import {
  add,
  cast,
  concat,
  div,
  gather,
  InputError,
  isFloat,
  LifetimeError,
  mul,
  ShapeError,
  shapeMismatch,
  sub,
  type Device,
  type DType,
  type Resource,
  type ResourceOwner,
  type Tensor,
} from '@pergola/core';
import { transformCoords } from './ops/coords.ts';
import { SparseStructure } from './structure.ts';
import { checkRows } from './ops/checks.ts';

/** What arithmetic takes as its second operand. */
export type SparseOperand = SparseTensor | Tensor | number;

/**
 * Features `[N, ...]` on the N voxels of a structure. Immutable to its users.
 *
 * The structure is shared by all tensors on the same voxels; disposing a tensor frees its features only.
 */
export class SparseTensor implements ResourceOwner, Disposable {
  readonly structure: SparseStructure;
  /** `[N, ...]`, one row per voxel. */
  readonly feats: Tensor;

  /** @throws ShapeError unless there is one row per voxel; LifetimeError when the devices differ. */
  constructor(structure: SparseStructure, feats: Tensor) {
    if (feats.rank < 1) throw shapeMismatch('SparseTensor', 'feats', '[N, ...]', feats.shape);
    checkRows('SparseTensor', 'feats', feats, structure.count);
    if (feats.device !== structure.device) {
      throw new LifetimeError(
        `SparseTensor: feats must be on the device of coords (${structure.device.name}), got ${feats.device.name}.`,
      );
    }
    this.structure = structure;
    this.feats = feats;
  }

  /**
   * Checks coordinates and pairs them with features.
   *
   * @param coords i32 `[N, 4]`, see {@link SparseStructure.create}.
   * @param feats `[N, ...]`.
   * @throws ShapeError; DTypeError; InputError naming the first row that offends.
   */
  static async create(
    coords: Tensor,
    feats: Tensor,
    options: { readonly batchSize?: number } = {},
  ): Promise<SparseTensor> {
    if (coords.rank !== 2 || coords.shape[0] !== feats.shape[0]) {
      throw new ShapeError(
        `SparseTensor: coords and feats must have the same rows, got [${coords.shape.join(', ')}] and [${feats.shape.join(', ')}].`,
      );
    }
    return new SparseTensor(await SparseStructure.create(coords, options), feats);
  }

  get device(): Device {
    return this.structure.device;
  }

  /** i32 `[N, 4]`: batch, x, y, z. */
  get coords(): Tensor {
    return this.structure.coords;
  }

  /** N. */
  get count(): number {
    return this.structure.count;
  }

  get batchSize(): number {
    return this.structure.batchSize;
  }

  /** i32 `[B + 1]`: row ranges of the batch elements. */
  get offsets(): Tensor {
    return this.structure.offsets;
  }

  get dtype(): DType {
    return this.feats.dtype;
  }

  /** The structure and the features. */
  ownedResources(): Iterable<Resource> {
    return [...this.structure.ownedResources(), this.feats];
  }

  /** Frees the features. */
  dispose(): void {
    this.feats.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Other features on the same voxels. @throws ShapeError unless there is one row per voxel. */
  withFeats(feats: Tensor): SparseTensor {
    return new SparseTensor(this.structure, feats);
  }

  /** The features in another dtype. */
  to(dtype: DType): SparseTensor {
    return this.withFeats(cast(this.feats, dtype));
  }

  /** The features of each voxel in another shape. @throws ShapeError when the sizes differ. */
  reshape(...shape: number[]): SparseTensor {
    return this.withFeats(this.feats.reshape(this.count, ...shape));
  }

  /** Voxel-wise sum; see {@link broadcastToRows} for the operand. */
  add(other: SparseOperand): SparseTensor {
    return combine(add, 'add', this, other);
  }

  /** Voxel-wise difference. */
  sub(other: SparseOperand): SparseTensor {
    return combine(sub, 'sub', this, other);
  }

  /** Voxel-wise product. */
  mul(other: SparseOperand): SparseTensor {
    return combine(mul, 'mul', this, other);
  }

  /** Voxel-wise quotient. */
  div(other: SparseOperand): SparseTensor {
    return combine(div, 'div', this, other);
  }
}

function combine(
  op: (a: Tensor, b: Tensor | number) => Tensor,
  name: string,
  x: SparseTensor,
  other: SparseOperand,
): SparseTensor {
  if (typeof other === 'number') return x.withFeats(op(x.feats, other));
  if (other instanceof SparseTensor) {
    if (other.structure !== x.structure) {
      throw new InputError(`${name}: both sparse tensors must share one structure.`);
    }
    return x.withFeats(op(x.feats, other.feats));
  }
  using rows = broadcastToRows(other, x);
  return x.withFeats(op(x.feats, rows));
}

/**
 * Brings a dense operand to something that broadcasts against the features of `x`, in their dtype.
 *
 * A tensor whose rank is that of the features and whose first axis is B (and not 1) holds one value per batch element:
 * row i gets the value of its element. Everything else broadcasts against `[N, ...]` as usual. When N equals B and
 * both readings fit, the value is taken per batch element.
 *
 * @throws ShapeError when neither fits.
 */
export function broadcastToRows(operand: Tensor, x: SparseTensor): Tensor {
  using value = operand.dtype === x.dtype ? operand.alias() : castFloat(operand, x.dtype);
  const { shape } = operand;
  const trailing = x.feats.shape.slice(1);
  const perElement =
    operand.rank === x.feats.rank && shape[0] === x.batchSize && shape[0] !== 1 && x.batchSize > 0;
  const lead = perElement ? shape.slice(1) : shape;
  const target = perElement ? trailing : x.feats.shape;
  const fits = lead.every((extent, axis) => {
    const against = target[axis + target.length - lead.length];
    return extent === 1 || extent === against;
  });
  if (!fits || lead.length > target.length) {
    const batch = `[${[x.batchSize, ...trailing].join(', ')}]`;
    throw shapeMismatch(
      'broadcastToRows',
      'operand',
      `broadcastable to ${batch} or [${x.feats.shape.join(', ')}]`,
      shape,
    );
  }
  return perElement ? gather(value, x.structure.batchIndex()) : value.alias();
}

function castFloat(x: Tensor, dtype: DType): Tensor {
  if (!isFloat(x.dtype) || !isFloat(dtype)) {
    throw new InputError(
      `broadcastToRows: operand must be ${dtype} (the dtype of the features), got ${x.dtype}.`,
    );
  }
  return cast(x, dtype);
}

/**
 * One sparse tensor with the batch elements of all, in order.
 *
 * @throws InputError for an empty list; ShapeError or DTypeError when features differ beyond their rows.
 */
export async function catBatches(tensors: readonly SparseTensor[]): Promise<SparseTensor> {
  if (tensors.length === 0) throw new InputError('catBatches: needs at least one sparse tensor.');
  let batchSize = 0;
  const coords: Tensor[] = [];
  for (const tensor of tensors) {
    coords.push(transformCoords(tensor.coords, { batchShift: batchSize }));
    batchSize += tensor.batchSize;
  }
  using all = concat(coords);
  for (const part of coords) part.dispose();
  const feats = concat(tensors.map((tensor) => tensor.feats));
  return SparseTensor.create(all, feats, { batchSize });
}

/**
 * Features side by side along the last axis. All tensors must share one structure.
 *
 * @throws InputError for an empty list or different structures; ShapeError; DTypeError.
 */
export function catFeats(tensors: readonly SparseTensor[]): SparseTensor {
  const first = tensors[0];
  if (first === undefined) throw new InputError('catFeats: needs at least one sparse tensor.');
  if (tensors.some((tensor) => tensor.structure !== first.structure)) {
    throw new InputError('catFeats: all sparse tensors must share one structure.');
  }
  return first.withFeats(
    concat(
      tensors.map((tensor) => tensor.feats),
      { axis: -1 },
    ),
  );
}

/**
 * Some batch elements, renumbered from 0 in the given order. An element may be taken more than once.
 *
 * @param elements batch numbers, 0 to B - 1.
 * @throws InputError for a number out of range.
 */
export async function selectBatches(
  x: SparseTensor,
  elements: readonly number[],
): Promise<SparseTensor> {
  const { lengths } = x.structure;
  const starts = lengths.map((_, b) => lengths.slice(0, b).reduce((sum, n) => sum + n, 0));
  const coords: Tensor[] = [];
  const feats: Tensor[] = [];
  for (const [position, element] of elements.entries()) {
    const start = starts[element];
    if (start === undefined) {
      throw new InputError(
        `selectBatches: elements must be integers from 0 to ${x.batchSize - 1}, got ${element}.`,
      );
    }
    const end = start + lengths[element]!;
    using rows = x.coords.slice(0, start, end);
    coords.push(transformCoords(rows, { batchShift: position - element }));
    feats.push(x.feats.slice(0, start, end));
  }
  if (elements.length === 0) {
    using none = x.coords.slice(0, 0, 0);
    return SparseTensor.create(none, x.feats.slice(0, 0, 0), { batchSize: 0 });
  }
  using all = concat(coords);
  const chosen = concat(feats);
  for (const part of [...coords, ...feats]) part.dispose();
  return SparseTensor.create(all, chosen, { batchSize: elements.length });
}
