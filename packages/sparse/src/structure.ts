/** Sparse structures: everything that depends on a voxel set alone, built once and shared by all features on it. */
import {
  InputError,
  type Device,
  type Resource,
  type ResourceOwner,
  type Tensor,
} from '@pergola/core';
import { buildPartition, buildSerialized } from './build-partitions.ts';
import {
  buildDownsampling,
  buildStridedCoords,
  buildSubdivision,
  readLengths,
  type TrustedCoords,
} from './build-resolution.ts';
import { rejectCoords, type Bounds } from './check-coords.ts';
import { buildHash, type HashTable } from './ops/hash.ts';
import { batchOffsets, inspectCoords } from './ops/inspect.ts';
import {
  checkKernel,
  invertNeighborMap,
  neighborMap,
  type NeighborMapAttrs,
} from './ops/neighbors.ts';
import { StructureCache } from './structure-cache.ts';
import type {
  AttentionPartition,
  Downsampling,
  KernelMap,
  KernelMapOptions,
  SerializeOptions,
  StridedMap,
  StridedOptions,
  WindowOptions,
  WindowPartition,
} from './structure-parts.ts';
import { checkInteger, checkTriple, triple } from './ops/checks.ts';

/** Facts of a structure that its maker already knows. @internal */
export interface StructureFacts {
  readonly batchSize: number;
  readonly bounds: Bounds;
  /** i32 `[B + 1]`. */
  readonly offsets: Tensor;
  readonly lengths: readonly number[];
  readonly table?: HashTable | undefined;
  /** The structure that owns this one. */
  readonly owner?: SparseStructure | undefined;
}

function key(name: string, options: object): string {
  return `${name}(${JSON.stringify(options)})`;
}

function normalKernel(options: KernelMapOptions): Required<KernelMapOptions> {
  const { kernelSize, dilation = 1 } = options;
  checkInteger('kernelMap', 'kernelSize', kernelSize, 1);
  checkInteger('kernelMap', 'dilation', dilation, 1);
  if (kernelSize % 2 === 0) {
    throw new InputError(`kernelMap: kernelSize must be odd, got ${kernelSize}.`);
  }
  return { kernelSize, dilation };
}

function normalWindows(options: WindowOptions): Required<WindowOptions> {
  const size = triple(options.size);
  const shift = triple(options.shift ?? 0);
  checkTriple('windows', 'size', size, 1);
  checkTriple('windows', 'shift', shift, -65536, 65536);
  return { size, shift };
}

function normalSerialize(options: SerializeOptions): Required<SerializeOptions> {
  const { order, window, sequenceShift = 0 } = options;
  const shift = triple(options.shift ?? 0);
  checkInteger('serialize', 'window', window, 1);
  checkInteger('serialize', 'sequenceShift', sequenceShift, 0);
  checkTriple('serialize', 'shift', shift, -65536, 65536);
  if (sequenceShift > window) {
    throw new InputError(
      `serialize: sequenceShift must be at most window (${window}), got ${sequenceShift}.`,
    );
  }
  return { order, window, shift, sequenceShift };
}

interface NormalStrided extends NeighborMapAttrs {
  readonly spatialShape?: StridedOptions['spatialShape'];
}

function normalStrided(options: StridedOptions): NormalStrided {
  const { kernelSize, stride, padding = 0, dilation = 1, spatialShape } = options;
  const normal = { kernelSize, stride, padding, dilation };
  checkKernel('strided', normal);
  if (spatialShape === undefined) return normal;
  if (spatialShape !== 'unbounded') checkTriple('strided', 'spatialShape', spatialShape, 1);
  return { ...normal, spatialShape };
}

/** The parts of a structure that are built already, without waiting: what a forward pass reads. */
export class BuiltParts {
  readonly #cache: StructureCache;

  /** @internal */
  constructor(cache: StructureCache) {
    this.#cache = cache;
  }

  /** @throws LifetimeError unless `kernelMap` was awaited with these options; so for every method here. */
  kernelMap(options: KernelMapOptions): KernelMap {
    return this.#cache.get(key('kernelMap', normalKernel(options))) as KernelMap;
  }

  windows(options: WindowOptions): WindowPartition {
    return this.#cache.get(key('windows', normalWindows(options))) as WindowPartition;
  }

  serialize(options: SerializeOptions): AttentionPartition {
    return this.#cache.get(key('serialize', normalSerialize(options))) as AttentionPartition;
  }

  downsample(factor: number): Downsampling {
    return this.#cache.get(key('downsample', { factor })) as Downsampling;
  }

  subdivide(): SparseStructure {
    return this.#cache.get('subdivide()') as SparseStructure;
  }

  strided(options: StridedOptions): StridedMap {
    return this.#cache.get(key('strided', normalStrided(options))) as StridedMap;
  }
}

/**
 * A set of voxels in a batch of grids, with everything that convolutions, poolings and attention need to know of it.
 *
 * Parts are built at the first request and kept until the structure is disposed; they belong to the structure, so do
 * not dispose them. Structures made from this one (by `downsample`, `subdivide`, `strided`) belong to it too, and keep
 * it alive when they are returned from a scope. Builders wait for the device where a size depends on the data; `built`
 * reads finished parts without waiting.
 */
export class SparseStructure implements Resource, ResourceOwner, Disposable {
  readonly device: Device;
  /** i32 `[N, 4]`: batch, x, y, z. Rows of one batch element are contiguous, elements ascend. */
  readonly coords: Tensor;
  /** N, the voxels of all batch elements. */
  readonly count: number;
  /** B; elements may be empty. */
  readonly batchSize: number;
  /** i32 `[B + 1]`: rows of element b are `offsets[b] .. offsets[b + 1] - 1`. */
  readonly offsets: Tensor;
  /** Voxels per batch element. */
  readonly lengths: readonly number[];
  /** Voxels of the largest batch element. */
  readonly maxLength: number;
  /** Smallest and largest coordinates; undefined when there are no voxels. */
  readonly bounds: Bounds;
  readonly built: BuiltParts;
  readonly #cache: StructureCache;
  readonly #owner: SparseStructure | undefined;

  /** @internal Structures are made by `create` and by each other. Takes over `coords`. */
  constructor(coords: Tensor, facts: StructureFacts) {
    this.device = coords.device;
    this.coords = coords.keep();
    this.count = coords.shape[0]!;
    this.batchSize = facts.batchSize;
    this.offsets = facts.offsets.keep();
    this.lengths = facts.lengths;
    this.maxLength = Math.max(0, ...facts.lengths);
    this.bounds = facts.bounds;
    this.#owner = facts.owner;
    this.#cache = new StructureCache(coords.device);
    this.built = new BuiltParts(this.#cache);
    if (facts.table !== undefined) this.#cache.buildNow('table', () => facts.table);
    if (facts.owner === undefined) this.device.track(this);
  }

  /**
   * Checks a voxel list and makes its structure.
   *
   * @param coords i32 `[N, 4]`: batch from 0 and ascending, x, y, z from -32768 to 32767, no voxel twice; N may be 0.
   *   The caller's handle stays the caller's.
   * @param options `batchSize`: number of batch elements, to count empty ones at the end; defaults to the largest
   *   batch plus one.
   * @throws InputError naming the first row that offends; ShapeError; DTypeError.
   */
  static async create(
    coords: Tensor,
    options: { readonly batchSize?: number } = {},
  ): Promise<SparseStructure> {
    return SparseStructure.#checked(coords.toContiguous(), options.batchSize, undefined);
  }

  /** Checks a voxel list; the structure takes `own` over. */
  static async #checked(
    own: Tensor,
    batchSize: number | undefined,
    owner: SparseStructure | undefined,
  ): Promise<SparseStructure> {
    let table: HashTable | undefined;
    let offsets: Tensor | undefined;
    try {
      own.keep();
      table = buildHash(own);
      table.slots.keep();
      table.coords.keep();
      const facts = await rejectCoords(own, inspectCoords(own, table.slots), batchSize);
      offsets = batchOffsets(own, facts).keep();
      const lengths = await readLengths(offsets);
      return new SparseStructure(own, { ...facts, offsets, lengths, table, owner });
    } catch (error) {
      for (const part of [own, table?.slots, table?.coords, offsets]) part?.dispose();
      throw error;
    }
  }

  get disposed(): boolean {
    return this.#cache.disposed;
  }

  /** The structure whose disposal ends this one: itself unless it was made from another. */
  get root(): SparseStructure {
    return this.#owner?.root ?? this;
  }

  /** The structure that owns this one, or itself. */
  ownedResources(): Iterable<Resource> {
    return [this.root];
  }

  /** Takes the structure (and the one it belongs to) out of its scope: it lives until `dispose()`. */
  keep(): this {
    this.device.detach(this.root);
    return this;
  }

  /** Frees the coordinates and all parts, also structures made from this one. Safe to call twice. */
  dispose(): void {
    if (this.disposed) return;
    this.#cache.dispose();
    this.coords.dispose();
    this.offsets.dispose();
    this.device.detach(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The coordinate hash. */
  table(): HashTable {
    return this.#cache.buildNow('table', () => buildHash(this.coords));
  }

  /** i32 `[N]`: batch element of each row. */
  batchIndex(): Tensor {
    return this.#cache.buildNow('batchIndex', () => {
      using column = this.coords.select(1, 0);
      return column.toContiguous();
    });
  }

  /** i32 `[B + 1]` with `offsets[b] = b * length`: the sequences of a dense context `[B, length, ...]`. */
  contextOffsets(length: number): Tensor {
    checkInteger('contextOffsets', 'length', length, 0);
    return this.#cache.buildNow(`contextOffsets(${length})`, () =>
      this.device.tensor(
        Int32Array.from({ length: this.batchSize + 1 }, (_, b) => b * length),
        [this.batchSize + 1],
      ),
    );
  }

  /** Neighbours for a submanifold convolution: odd `kernelSize`, centred, `dilation` default 1. @throws InputError. */
  async kernelMap(options: KernelMapOptions): Promise<KernelMap> {
    const normal = normalKernel(options);
    return this.#cache.build(key('kernelMap', normal), async () => ({
      map: neighborMap(this.coords, this.table(), normal),
      kernelSize: normal.kernelSize,
      inputRows: this.count,
    }));
  }

  /**
   * Groups the voxels by window: those with equal `floor((xyz + shift) / size)` and batch. Sequences ascend by (batch,
   * x, y, z) of their window; inside one, rows keep their order.
   *
   * @throws InputError.
   */
  async windows(options: WindowOptions): Promise<WindowPartition> {
    const normal = normalWindows(options);
    return this.#cache.build(key('windows', normal), () => buildPartition(this, normal));
  }

  /**
   * Sorts the voxels of each batch element along a space-filling curve and cuts it into chunks of `window` places.
   *
   * An element of at most `window` voxels is one sequence. A longer one of n voxels is covered by `ceil(n / window)`
   * chunks that each own an equal share of the curve and are padded to `window` places by the neighbours on both sides,
   * around the end of the curve; each voxel takes its result from the chunk that owns it.
   *
   * @throws InputError, also when a shifted coordinate leaves 0 to 1023.
   */
  async serialize(options: SerializeOptions): Promise<AttentionPartition> {
    const normal = normalSerialize(options);
    return this.#cache.build(key('serialize', normal), () => buildSerialized(this, normal));
  }

  /**
   * The voxels of the grid that is coarser by `factor`: `floor(xyz / factor)`, ascending by (batch, x, y, z).
   *
   * @throws InputError unless the factor is a positive integer.
   */
  async downsample(factor: number): Promise<Downsampling> {
    checkInteger('downsample', 'factor', factor, 1);
    return this.#cache.build(key('downsample', { factor }), async () => {
      const { coarse, groups } = await buildDownsampling(this, factor);
      const { inverse: index, order, offsets, counts } = groups;
      return { structure: this.#derive(coarse), index, order, offsets, counts };
    });
  }

  /**
   * The eight children of every voxel, parent by parent; child c is at `2 xyz + (c >> 2 & 1, c >> 1 & 1, c & 1)`.
   *
   * @throws InputError when a child would leave the coordinate range.
   */
  async subdivide(): Promise<SparseStructure> {
    return this.#cache.build('subdivide()', async () => this.#derive(buildSubdivision(this)));
  }

  /**
   * Outputs and pairs of a strided convolution: every output p for which `p * stride - padding + dilation * k` is a
   * voxel for some tap k.
   *
   * @throws InputError, also when a voxel lies outside `spatialShape`.
   */
  async strided(options: StridedOptions): Promise<StridedMap> {
    const normal = normalStrided(options);
    return this.#cache.build(key('strided', normal), async () => {
      const coords = await buildStridedCoords(this, normal, normal.spatialShape);
      const structure = await SparseStructure.#checked(coords, this.batchSize, this);
      const { kernelSize } = normal;
      const map = neighborMap(structure.coords, this.table(), normal);
      const back = invertNeighborMap(map, { rows: this.count });
      return {
        structure,
        forward: { map, kernelSize, inputRows: this.count },
        inverse: { map: back, kernelSize, inputRows: structure.count },
      };
    });
  }

  #derive({ coords, bounds, offsets, lengths }: TrustedCoords): SparseStructure {
    const { batchSize } = this;
    return new SparseStructure(coords, { batchSize, bounds, offsets, lengths, owner: this });
  }
}
