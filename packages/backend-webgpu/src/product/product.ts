/** Matrix products with a fused epilogue, in every strategy: what `matmul`, `linear` and the convolutions share. */
import { UnsupportedOpError, type Binding } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext } from '../context.ts';
import type { Capabilities } from '../capabilities.ts';
import { epilogue, readsWideBias, storesWide } from './epilogue.ts';
import { matrixTemplate } from './matrix.wgsl.ts';
import { chooseMatrixTiles, hasMatrixTiles, type MatrixTiles } from './matrix-tiles.ts';
import { naiveTemplate } from './naive.wgsl.ts';
import type { Width } from './operand.ts';
import type { Product, Template, TemplateOperands } from './problem.ts';
import { chooseTiles, tiledTemplate } from './tiled.wgsl.ts';
import { VECTOR_ROWS, vectorTemplate } from './vector.wgsl.ts';
import { LaunchVersions, type Launch } from '../kernels/launch.ts';

/**
 * - `naive`: 4x4 to 8x8 results per invocation, straight from memory, without barriers;
 * - `vector`: few rows; the invocations of a workgroup share the depth;
 * - `tiled`: 64x64 or 128x128 results per workgroup, through its memory, sums in f32;
 * - `subgroup-matrix`: f16 on the matrix units, sums in f32.
 */
export type ProductStrategy = 'naive' | 'vector' | 'tiled' | 'subgroup-matrix';

export const PRODUCT_STRATEGIES: readonly ProductStrategy[] = [
  'naive',
  'vector',
  'tiled',
  'subgroup-matrix',
];

/** The strategy of `auto`, a pure function of the sizes and the device. */
export function chooseProduct(product: Product, capabilities: Capabilities): ProductStrategy {
  const { rows, columns, depth } = product;
  // Software devices pay most for barriers.
  if (capabilities.software) return 'naive';
  if (rows <= VECTOR_ROWS && product.right.alongDepth && depth >= 64) return 'vector';
  const big = rows >= 16 && columns >= 16 && depth >= 16;
  if (big && matrixRefusal(product, capabilities) === undefined) return 'subgroup-matrix';
  // Narrow products leave most of a tile idle.
  return rows <= 16 || columns <= 16 ? 'naive' : 'tiled';
}

/** Why a product cannot run on matrix units; nothing when it can. */
function matrixRefusal({ dtype }: Product, capabilities: Capabilities): string | undefined {
  if (dtype !== 'f16') return `multiplies f16, not ${dtype}`;
  if (hasMatrixTiles(capabilities)) return undefined;
  return 'needs matrix units for f16 in subgroups of 32, which this device does not offer';
}

function refusal(
  product: Product,
  strategy: ProductStrategy,
  capabilities: Capabilities,
): string | undefined {
  switch (strategy) {
    case 'subgroup-matrix':
      return matrixRefusal(product, capabilities);
    case 'vector':
      return product.rows > VECTOR_ROWS ? `takes at most ${VECTOR_ROWS} rows` : undefined;
    case 'naive':
    case 'tiled':
      return undefined;
    default:
      return strategy satisfies never;
  }
}

/** A product in one strategy: compiled for the alignments of offsets that it meets. */
export class PlannedProduct {
  readonly #context: WebGpuContext;
  readonly #product: Product;
  readonly #strategy: ProductStrategy;
  readonly #matrixTiles: MatrixTiles | undefined;
  readonly #width: Width;
  /** By binding: whether it is moved `width` elements at a time when its offset permits. */
  readonly #wide: readonly boolean[];
  readonly #versions: LaunchVersions = new LaunchVersions((wide) => this.#compile(wide));

  /**
   * @param tiles of the strategy `subgroup-matrix`; chosen by the sizes when absent.
   * @throws UnsupportedOpError when a forced strategy cannot run this product here.
   */
  constructor(
    context: WebGpuContext,
    product: Product,
    forced: string | undefined,
    tiles?: MatrixTiles,
  ) {
    const { capabilities } = context;
    const strategy =
      (forced as ProductStrategy | undefined) ?? chooseProduct(product, capabilities);
    const reason = refusal(product, strategy, capabilities);
    if (reason !== undefined) {
      throw new UnsupportedOpError(`${product.label}: strategy ${strategy} ${reason}.`);
    }
    this.#context = context;
    this.#product = product;
    this.#strategy = strategy;
    this.#matrixTiles = tiles;
    this.#width = strategy === 'subgroup-matrix' ? 8 : 4;
    const { left, right, columns, biasStride } = product;
    this.#wide = [
      left.fitsWide(this.#width),
      right.fitsWide(this.#width),
      ...(biasStride === undefined ? [] : [this.#width === 8 && readsWideBias(product, columns)]),
      storesWide(product, columns, this.#width),
    ];
    // Offsets are aligned as a rule.
    this.#versions.get(this.#wide);
  }

  /** Enqueues the product. Bindings: left, right, bias (when there is one), out, and what the left operand adds. */
  enqueue(bindings: readonly Binding<GpuBuffer>[]): void {
    const wide = this.#wide.map((fits, i) => fits && bindings[i]!.offset % this.#width === 0);
    const { program, params, count } = this.#versions.get(wide);
    const placed =
      this.#width === 4
        ? bindings
        : // Words hold two halves, and the program counts words.
          bindings.map((binding, i) =>
            wide[i] === true ? { buffer: binding.buffer, offset: binding.offset / 2 } : binding,
          );
    this.#context.launch(program, placed, params, count);
  }

  #compile(wide: readonly boolean[]): Launch {
    const { rows, columns, depth, left, right, label, dtype } = this.#product;
    const width = this.#width;
    const { depthStep: step, walked } = this.#template;
    const ragged = depth === 0 || depth % step !== 0;
    const operands: TemplateOperands = {
      left: left.make('left', { width, wide: wide[0]!, ragged, step, walked }),
      right: right.make('right', { width, wide: wide[1]!, ragged, step, walked }),
    };
    const after = epilogue(this.#product, {
      width,
      wideOut: wide[wide.length - 1]!,
      wideBias: wide[2]!,
    });
    const template = this.#template.make(operands);
    const program = this.#context.program({
      label: `${label}.${this.#strategy}.${dtype}`,
      bindings: [
        operands.left.binding,
        operands.right.binding,
        ...after.bindings,
        ...(operands.left.extra ?? []),
      ],
      params: {
        rows: 'u32',
        columns: 'u32',
        depth: 'u32',
        ...operands.left.types,
        ...operands.right.types,
        ...after.types,
      },
      each: template.each,
      workgroup: template.workgroup,
      ...(template.enables === undefined ? {} : { enables: template.enables }),
      ...(template.subgroupId === undefined ? {} : { subgroupId: template.subgroupId }),
      helpers: [...template.helpers, ...after.helpers],
      body: `${operands.left.code}${operands.right.code}${after.code}${template.body}`,
    });
    const params = program.pack({
      rows,
      columns,
      depth,
      ...operands.left.values,
      ...operands.right.values,
      ...after.values,
    });
    return { program, params, count: template.count };
  }

  /** How deep one step of the strategy is, whether it follows walks, and its program. */
  get #template(): {
    depthStep: number;
    walked: boolean;
    make: (operands: TemplateOperands) => Template;
  } {
    const product = this.#product;
    switch (this.#strategy) {
      case 'naive':
        return {
          depthStep: 4,
          walked: false,
          make: (operands) => naiveTemplate(product, operands, this.#context.capabilities),
        };
      case 'vector':
        return {
          depthStep: 4,
          walked: false,
          make: (operands) => vectorTemplate(product, operands, this.#context.capabilities),
        };
      case 'tiled': {
        const tiles = chooseTiles(product, this.#context.capabilities);
        return {
          depthStep: tiles.depth,
          walked: true,
          make: (operands) => tiledTemplate(product, operands, tiles),
        };
      }
      case 'subgroup-matrix': {
        const tiles = this.#matrixTiles ?? chooseMatrixTiles(product, this.#context.capabilities);
        return {
          depthStep: tiles.depth,
          walked: true,
          make: (operands) => matrixTemplate(product, operands, tiles),
        };
      }
      default:
        return this.#strategy satisfies never;
    }
  }
}
